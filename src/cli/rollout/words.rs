//! How the commands print.

use std::io::{ErrorKind, IsTerminal as _, Write as _, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
pub(super) use stickshift::operator::words::{count, parse_time, place, plain, time, verdict, version};

/// How a warning begins. In a terminal it has a color.
pub(super) const WARNING: &str = "warning: ";

/// Whether a person looks at stdout.
pub(super) fn is_for_person() -> bool {
    stdout().is_terminal()
}

/// Whether the command has not reached yet what it waits for.
static IS_WAITING: AtomicBool = AtomicBool::new(false);

/// From now on, the program fails when nobody reads any more: it cannot say that it has reached what it waits for.
pub(super) fn note_waiting() {
    IS_WAITING.store(true, Ordering::Relaxed);
}

/// Whether the command does more than to say something.
static OUTLIVES_READERS: AtomicBool = AtomicBool::new(false);

/// From now on, the program goes on when nobody reads any more.
pub(super) fn outlive_readers() {
    OUTLIVES_READERS.store(true, Ordering::Relaxed);
}

/// Prints a text. In a terminal, no line is longer than it is wide.
pub(super) fn show(text: &str) -> Result<()> {
    write(&fitted(text))
}

/// Prints a text, however wide the terminal is.
pub(super) fn show_whole(text: &str) -> Result<()> {
    write(text)
}

/// Prints a text in the place of the one before.
pub(super) fn show_in_place(text: &str, before: &str) -> Result<()> {
    // Up to the first line of the text before, and clear what is below.
    let lines = fitted(before).lines().count();
    write(&format!("\x1b[{lines}A\x1b[J{}", fitted(text)))
}

/// How wide the terminal is; `None` in a pipe.
pub(super) fn width() -> Option<usize> {
    terminal_size::terminal_size().filter(|_| is_for_person()).map(|(width, _)| usize::from(width.0))
}

/// The text with lines that fit the terminal, each with its end. A row of a table is cut, any other line goes on below.
fn fitted(text: &str) -> String {
    let mut fitted = String::new();
    for line in text.lines().map(plain) {
        let lines = match width() {
            Some(width) if line.chars().count() > width && line.starts_with("  ") => {
                vec![line.chars().take(width.saturating_sub(1)).collect::<String>() + ">"]
            }
            Some(width) if line.chars().count() > width => folded(&line, width),
            _ => vec![line.clone()],
        };
        for piece in lines {
            fitted.push_str(&if line.starts_with(WARNING) { colored(&piece) } else { piece });
            fitted.push('\n');
        }
    }
    fitted
}

/// A line in pieces that are at most so wide, where its words allow it.
fn folded(line: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in line.split(' ') {
        let piece = pieces.last_mut().expect("there is one");
        if piece.is_empty() {
            piece.push_str(word);
        } else if piece.chars().count() + 1 + word.chars().count() <= width {
            piece.push(' ');
            piece.push_str(word);
        } else {
            pieces.push(word.to_owned());
        }
    }
    pieces
}

/// A piece of a warning with its color, which [`write`] takes away again where none is wanted.
fn colored(piece: &str) -> String {
    const YELLOW: anstyle::Style = anstyle::AnsiColor::Yellow.on_default();
    format!("{YELLOW}{piece}{YELLOW:#}")
}

/// Ends the program when nobody reads any more, as in `history | head -1`, unless it has more to do. That is no failure,
/// but for a command that waits.
fn write(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(_) if OUTLIVES_READERS.load(Ordering::Relaxed) => Ok(()),
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => {
            std::process::exit(IS_WAITING.load(Ordering::Relaxed).into())
        }
        written => Ok(written?),
    }
}

/// Rows in columns as wide as their longest cell, each line indented by two spaces.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end());
        text.push('\n');
    }
    text
}
