//! Runs many timelines and reports what does not hold; see `docs/proof.md`.

use std::io::{self, Write as _};
use std::ops::AddAssign;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use stickshift_simulator::{
    AsDesigned, Cookies, Design, Tally, Timeline, Violation, WithoutLookUps, on_every_core, run, run_article, shrink,
};

/// Prints a line. A reader that has closed the pipe needs no more lines.
macro_rules! say {
    ($($line:tt)*) => {{ writeln!(io::stdout(), $($line)*).ok(); }};
}

/// Plays timelines of viewers, operators and faults in virtual time, and checks what must always hold.
#[derive(Debug, Parser)]
#[command(name = "stickshift-simulator", version)]
struct Arguments {
    /// How many timelines to play.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    timelines: u64,
    /// The seed of the first timeline. The next ones have the next seeds [default: a random one]
    #[arg(long)]
    seed: Option<u64>,
    /// Play this one timeline and print what happens in it.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["timelines", "seed"])]
    replay: Option<u64>,
    /// Viewers have bare tokens: no keys are configured. What is lost is counted.
    #[arg(long)]
    without_keys: bool,
    /// The edge never looks a session up: receipts and the plan decide alone.
    #[arg(long)]
    without_look_ups: bool,
    /// Play the logic of the article that Stickshift grew from. What is lost is counted.
    #[arg(long, conflicts_with_all = ["without_keys", "without_look_ups", "replay"])]
    article: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cookies = if arguments.without_keys { Cookies::Tokens } else { Cookies::Receipts };
    let design: &dyn Design = if arguments.without_look_ups { &WithoutLookUps } else { &AsDesigned };
    let is_held = match arguments.replay {
        Some(seed) => replay(seed, design, cookies),
        None if arguments.article => {
            say!("{}", play(&arguments, |seed, tally| run_article(&Timeline::draw(seed), tally)));
            true
        }
        None => search(&arguments, design, cookies),
    };
    if is_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// If the draws follow the weights, only one search in two million differs from them by more.
const MOST_DEVIATION: f64 = 5.0;

/// What is counted in a search, and the seeds of the violations.
#[derive(Default)]
struct Found {
    tally: Tally,
    violations: Vec<(u64, Violation)>,
}

impl AddAssign for Found {
    fn add_assign(&mut self, mut other: Self) {
        self.tally += other.tally;
        self.violations.append(&mut other.violations);
    }
}

/// Plays the timelines and says how long it took.
fn play<T: Default + AddAssign + Send>(arguments: &Arguments, play: impl Fn(u64, &mut T) + Sync) -> T {
    let Arguments { timelines, seed, .. } = *arguments;
    let first = seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    say!("{timelines} timelines from seed {first}");
    let begin = Instant::now();
    let counted = on_every_core(first, timelines, play);
    say!("played in {:.0} s", begin.elapsed().as_secs_f64());
    counted
}

/// Searches for violations. Returns whether all invariants hold.
fn search(arguments: &Arguments, design: &dyn Design, cookies: Cookies) -> bool {
    let Found { tally, violations: mut found } = play(arguments, |seed, found: &mut Found| {
        if let Some(violation) = run(&Timeline::draw(seed), design, cookies, &mut found.tally, None) {
            found.violations.push((seed, violation));
        }
    });
    say!("{tally}");
    found.sort_by_key(|(seed, _)| *seed);
    for (seed, violation) in found.iter().take(10) {
        say!("seed {seed}: {violation}");
    }
    if let (Some((seed, violation)), Cookies::Receipts) = (found.first(), cookies) {
        say!("\nThe first one, shrunk; play all of it with --replay {seed}:");
        let (timeline, violation) = shrink(&Timeline::draw(*seed), design, cookies, violation.clone());
        print(&timeline, design, cookies);
        say!("{violation}");
    }
    let follows_weights = tally.drawn.deviation().abs() < MOST_DEVIATION;
    if !follows_weights {
        say!("the draws do not follow the weights");
    }
    follows_weights && (found.is_empty() || cookies == Cookies::Tokens)
}

/// Plays one timeline and prints it. Returns whether all invariants hold.
fn replay(seed: u64, design: &dyn Design, cookies: Cookies) -> bool {
    let violation = print(&Timeline::draw(seed), design, cookies);
    match &violation {
        Some(violation) => say!("{violation}"),
        None => say!("All invariants hold."),
    }
    violation.is_none()
}

fn print(timeline: &Timeline, design: &dyn Design, cookies: Cookies) -> Option<Violation> {
    let mut lines = Vec::new();
    let violation = run(timeline, design, cookies, &mut Tally::default(), Some(&mut lines));
    for line in lines {
        say!("{line}");
    }
    violation
}
