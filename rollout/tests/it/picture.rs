//! The picture in `docs/analysis.md` is made from the code.

use std::fmt::Write as _;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use stickshift_rollout::Failures;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 20.0;
const RIGHT: f64 = 20.0;

/// Sessions on the canary, at the right end.
const SESSIONS: u32 = 800;

/// Powers of ten of the evidence, from bottom to top.
const POWERS: (i32, i32) = (-3, 4);

fn x(sessions: f64) -> f64 {
    LEFT + sessions / f64::from(SESSIONS) * (WIDTH - LEFT - RIGHT)
}

fn y(evidence: f64) -> f64 {
    let (low, high) = (f64::from(POWERS.0), f64::from(POWERS.1));
    let part = (evidence.log10().clamp(low, high) - low) / (high - low);
    HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP)
}

/// The evidence after each failure: stable fails in 2 % of sessions, the canary with a share of 10 % in `risk`.
fn line(risk: f64, seed: u64) -> String {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut on_canary, mut on_stable, mut sessions) = (0, 0, 0u32);
    let mut points = format!("{:.1},{:.1}", x(0.0), y(1.0));
    while sessions < SESSIONS {
        let is_canary = rng.random::<f64>() < 0.1;
        sessions += u32::from(is_canary);
        if rng.random::<f64>() >= if is_canary { risk } else { 0.02 } {
            continue;
        }
        *(if is_canary { &mut on_canary } else { &mut on_stable }) += 1;
        let mut failures = Failures::default();
        failures.add(0.1, on_canary, on_stable);
        let evidence = failures.evidence(1.5);
        write!(points, " {:.1},{:.1}", x(f64::from(sessions)), y(evidence)).expect("a string takes text");
        // It is taken back here.
        if evidence >= 60.0 && on_canary >= 3 {
            break;
        }
    }
    points
}

fn picture() -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut put = |line: String| writeln!(svg, "{line}").expect("a string takes text");
    for power in POWERS.0..=POWERS.1 {
        let at = y(10f64.powi(power));
        put(format!("<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"#dddddd\"/>", WIDTH - RIGHT));
        let label = 10f64.powi(power);
        put(format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 8.0, at + 4.0));
    }
    for sessions in (0..=SESSIONS).step_by(200) {
        let at = x(f64::from(sessions));
        put(format!("<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{sessions}</text>", HEIGHT - 30.0));
    }
    let middle = f64::midpoint(LEFT, WIDTH);
    put(format!("<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">sessions on version 2</text>", HEIGHT - 8.0));
    put(format!(
        "<text transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">evidence against version 2</text>",
        (HEIGHT - BOTTOM + TOP) / 2.0
    ));
    let threshold = y(60.0);
    let right = WIDTH - RIGHT;
    put(format!("<path d=\"M{LEFT} {threshold:.1}H{right}\" stroke=\"black\" stroke-dasharray=\"6 4\"/>"));
    put(format!("<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">60: it is taken back</text>", threshold - 6.0));
    for (risk, seed, color) in [(0.08, 7, "#c0392b"), (0.02, 8, "#1f6fb2")] {
        put(format!("<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>", line(risk, seed)));
    }
    put(format!("<text x=\"{}\" y=\"{}\" fill=\"#c0392b\">8 % of its sessions fail</text>", LEFT + 370.0, TOP + 130.0));
    put(format!(
        "<text x=\"{}\" y=\"{}\" fill=\"#1f6fb2\">2 % fail, as on version 1</text>",
        LEFT + 400.0,
        HEIGHT - BOTTOM - 90.0
    ));
    svg + "</svg>\n"
}

#[test]
fn the_picture_in_the_docs_is_made_from_the_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/evidence.svg");
    let made = picture();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &made).expect("written");
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(committed == made, "docs/evidence.svg is not what the code draws: run this test with UPDATE_DOCS=1");
}
