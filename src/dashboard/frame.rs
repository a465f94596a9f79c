//! What the pages show at one moment, as HTML: whole, and what is different from the moment before.

use std::collections::BTreeMap;

use actix_web::web::Bytes;
use serde_json::{Value, json};

use super::charts::Chart;

/// The contents of a page over one range.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// Rises by one with each frame; 0 before the first one.
    pub(super) number: u64,
    /// The contents of elements, by their id.
    pub(super) parts: BTreeMap<&'static str, String>,
    pub(super) charts: Vec<Chart>,
    /// What to send to a page that has the frame before.
    change: Option<Bytes>,
}

impl Frame {
    /// The frame after another one.
    pub(super) fn after(before: &Self, parts: BTreeMap<&'static str, String>, charts: Vec<Chart>) -> Self {
        let mut frame = Self { number: before.number + 1, parts, charts, change: None };
        frame.change = (before.number > 0).then(|| frame.change_from(before));
        frame
    }

    /// The contents of an element.
    pub(super) fn part(&self, id: &str) -> &str {
        self.parts.get(id).map_or("", String::as_str)
    }

    /// The event that fills a page.
    pub(super) fn snapshot(&self, release: &str) -> Bytes {
        let mut parts: BTreeMap<String, String> =
            self.parts.iter().map(|(id, html)| ((*id).to_owned(), html.clone())).collect();
        for chart in &self.charts {
            parts.insert(format!("head-{}", chart.id), chart.head.clone());
            parts.insert(format!("rows-{}", chart.id), chart.rows.iter().map(|(_, html)| html.as_str()).collect());
        }
        event("snapshot", &json!({ "release": release, "parts": parts }))
    }

    /// The event for a page that has the frame `number`; `None` if that is not the one before.
    pub(super) fn change_since(&self, number: u64) -> Option<Bytes> {
        self.change.clone().filter(|_| number.checked_add(1) == Some(self.number))
    }

    fn change_from(&self, before: &Self) -> Bytes {
        let mut parts = BTreeMap::new();
        for (id, html) in &self.parts {
            if before.parts.get(id) != Some(html) {
                parts.insert((*id).to_owned(), html.as_str());
            }
        }
        let mut rows = Vec::<Value>::new();
        for (chart, earlier) in self.charts.iter().zip(&before.charts) {
            if chart.head != earlier.head {
                parts.insert(format!("head-{}", chart.id), &chart.head);
            }
            let known: BTreeMap<&str, &str> =
                earlier.rows.iter().map(|(id, html)| (id.as_str(), html.as_str())).collect();
            let tbody = format!("rows-{}", chart.id);
            let mut gone = known.clone();
            for (id, html) in &chart.rows {
                if gone.remove(id.as_str()) != Some(html.as_str()) {
                    rows.push(json!([tbody, id, html]));
                }
            }
            rows.extend(gone.keys().map(|id| json!([tbody, id, null])));
        }
        event("change", &json!({ "parts": parts, "rows": rows }))
    }
}

/// An event of the stream. JSON has no line break, so its data is one line.
fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}
