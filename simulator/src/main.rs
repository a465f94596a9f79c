//! Runs many timelines and reports what does not hold; see `docs/proof.md`.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use stickshift_simulator::{AsDesigned, Cookies, Design, Tally, Timeline, Violation, run, shrink};

/// Plays timelines of viewers, operators and faults in virtual time, and checks what Stickshift claims.
#[derive(Debug, Parser)]
#[command(name = "stickshift-simulator", version)]
struct Arguments {
    /// How many timelines to play.
    #[arg(long, default_value_t = 10_000_000)]
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cookies = if arguments.without_keys { Cookies::Tokens } else { Cookies::Receipts };
    let is_held = match arguments.replay {
        Some(seed) => replay(seed, &AsDesigned, cookies),
        None => search(&arguments, &AsDesigned, cookies),
    };
    if is_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays the timelines on every core. Returns whether all claims hold.
fn search(arguments: &Arguments, design: &impl Design, cookies: Cookies) -> bool {
    let first = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{} timelines from seed {first}, on {threads} threads", arguments.timelines);
    let begin = Instant::now();
    let next = AtomicU64::new(0);
    let total = Mutex::new((Tally::default(), Vec::<(u64, Violation)>::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                const CHUNK: u64 = 1_000;
                loop {
                    let start = next.fetch_add(CHUNK, Ordering::Relaxed);
                    if start >= arguments.timelines {
                        break;
                    }
                    let (mut tally, mut found) = (Tally::default(), Vec::new());
                    for offset in start..(start + CHUNK).min(arguments.timelines) {
                        let seed = first.wrapping_add(offset);
                        let timeline = Timeline::draw(seed);
                        if let Some(violation) = run(&timeline, design, cookies, &mut tally, None) {
                            found.push((seed, violation));
                        }
                    }
                    let mut total = total.lock().expect("no thread panics while it holds the lock");
                    total.0 += tally;
                    total.1.append(&mut found);
                }
            });
        }
    });
    let (tally, mut found) = total.into_inner().expect("no thread panics while it holds the lock");
    println!("{tally}");
    println!("{:.0} s", begin.elapsed().as_secs_f64());
    found.sort_by_key(|(seed, _)| *seed);
    for (seed, violation) in found.iter().take(10) {
        println!("seed {seed}: {violation}");
    }
    if let (Some((seed, violation)), Cookies::Receipts) = (found.first(), cookies) {
        println!("\nThe first one, shrunk; play all of it with --replay {seed}:");
        let (timeline, violation) = shrink(&Timeline::draw(*seed), design, cookies, violation.clone());
        print(&timeline, design, cookies);
        println!("{violation}");
    }
    found.is_empty() || cookies == Cookies::Tokens
}

/// Plays one timeline and prints it. Returns whether all claims hold.
fn replay(seed: u64, design: &impl Design, cookies: Cookies) -> bool {
    let violation = print(&Timeline::draw(seed), design, cookies);
    match &violation {
        Some(violation) => println!("{violation}"),
        None => println!("All claims hold."),
    }
    violation.is_none()
}

fn print(timeline: &Timeline, design: &impl Design, cookies: Cookies) -> Option<Violation> {
    let mut lines = Vec::new();
    let violation = run(timeline, design, cookies, &mut Tally::default(), Some(&mut lines));
    for line in lines {
        println!("{line}");
    }
    violation
}
