//! Dates and amounts in the viewer's language. The patterns are those of the
//! [CLDR](https://cldr.unicode.org/).

use actix_web::HttpRequest;
use actix_web::http::header::{AcceptLanguage, Header as _, Preference, Quality};
use chrono::{Datelike as _, NaiveDate};

/// A language whose formats we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    German,
    Japanese,
}

const GERMAN_DAYS: [&str; 7] = ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"];
const GERMAN_MONTHS: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];
const JAPANESE_DAYS: [char; 7] = ['月', '火', '水', '木', '金', '土', '日'];

impl Language {
    /// The first language that the viewer's browser asks for and that we know; English without one
    /// ([RFC 9110, section 12.5.4](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4)).
    pub(super) fn of(request: &HttpRequest) -> Self {
        let Ok(mut wanted) = AcceptLanguage::parse(request) else { return Self::English };
        wanted.retain(|preference| preference.quality > Quality::ZERO);
        let wanted = wanted.ranked().into_iter().filter_map(Preference::into_item);
        let mut known = wanted.filter_map(|tag| match tag.primary_language() {
            "en" => Some(Self::English),
            "de" => Some(Self::German),
            "ja" => Some(Self::Japanese),
            _ => None,
        });
        known.next().unwrap_or(Self::English)
    }

    /// The tag for the attribute `lang`.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Japanese => "ja",
        }
    }

    /// A date in full, with the day of the week.
    pub(super) fn date(self, date: NaiveDate) -> String {
        let (year, month, day) = (date.year(), date.month0() as usize, date.day());
        let weekday = date.weekday().num_days_from_monday() as usize;
        match self {
            Self::English => date.format("%A, %B %-d, %Y").to_string(),
            Self::German => format!("{}, {day}. {} {year}", GERMAN_DAYS[weekday], GERMAN_MONTHS[month]),
            Self::Japanese => format!("{year}年{}月{day}日{}曜日", month + 1, JAPANESE_DAYS[weekday]),
        }
    }

    /// An amount of euros, given in cents.
    pub(super) fn euros(self, cents: u32) -> String {
        let (group, point) = if self == Self::German { ('.', ',') } else { (',', '.') };
        let mut digits = String::new();
        let whole = (cents / 100).to_string();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                digits.push(group);
            }
            digits.push(digit);
        }
        let amount = format!("{digits}{point}{:02}", cents % 100);
        // The space does not break the line.
        if self == Self::German { format!("{amount}\u{a0}€") } else { format!("€{amount}") }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn wanted(header: &str) -> Language {
        Language::of(&TestRequest::get().insert_header(("accept-language", header)).to_http_request())
    }

    #[test]
    fn the_first_known_language_counts() {
        assert_eq!(wanted("de-AT, en;q=0.8"), Language::German);
        assert_eq!(wanted("fr, ja;q=0.5, de;q=0.3"), Language::Japanese);
        assert_eq!(wanted("de;q=0.3, en-US;q=0.9"), Language::English);
        assert_eq!(wanted("fr, de;q=0"), Language::English, "no German, please");
        for unknown in ["fr", "*", "", "-", ";;;q=1"] {
            assert_eq!(wanted(unknown), Language::English, "{unknown}");
        }
        assert_eq!(Language::of(&TestRequest::get().to_http_request()), Language::English);
    }

    #[test]
    fn dates_and_amounts_are_as_people_write_them() {
        let date = "2026-12-24".parse().expect("a date");
        let both = |language: Language, cents| (language.date(date), language.euros(cents));
        assert_eq!(both(Language::English, 199_600), ("Thursday, December 24, 2026".into(), "€1,996.00".into()));
        assert_eq!(
            both(Language::German, 123_456_789),
            ("Donnerstag, 24. Dezember 2026".into(), "1.234.567,89\u{a0}€".into())
        );
        assert_eq!(both(Language::Japanese, 24_905), ("2026年12月24日木曜日".into(), "€249.05".into()));
    }
}
