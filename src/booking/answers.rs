//! What a person answers, and what is wrong with it.

use std::ops::RangeInclusive;

use chrono::{Days, Months, NaiveDate};
use email_address::{EmailAddress, Options};

/// A question of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The day of the trip.
    Date,
    /// The number of seats.
    Seats,
    /// The name of whoever books.
    Name,
    /// Where they can be reached.
    Email,
    /// What else they want to say. Version 1 does not ask for it.
    Wishes,
}

/// The most seats of one booking.
pub const MOST_SEATS: u8 = 8;

/// The valid answers. They have no `Debug`, because they are personal data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// One of [`dates`], when it was given.
    pub date: Option<NaiveDate>,
    /// 1 to [`MOST_SEATS`].
    pub seats: Option<u8>,
    /// Not empty.
    pub name: Option<String>,
    /// An e-mail address ([RFC 5321](https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2)) with a domain.
    pub email: Option<String>,
    /// Empty if there are none. `None` if nobody has asked.
    pub wishes: Option<String>,
}

/// What is wrong with an answer, as a sentence for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub String);

/// A sentence as a problem.
fn problem(sentence: impl Into<String>) -> Problem {
    Problem(sentence.into())
}

impl Field {
    /// Every field, in the order of the form that has them all.
    pub const EVERY: [Self; 5] = [Self::Date, Self::Seats, Self::Name, Self::Email, Self::Wishes];

    /// The name in forms and in items.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Seats => "seats",
            Self::Name => "name",
            Self::Email => "email",
            Self::Wishes => "wishes",
        }
    }

    /// Whether the answer may be empty.
    pub fn is_optional(self) -> bool {
        self == Self::Wishes
    }

    /// How many characters an answer may have.
    pub fn longest(self) -> usize {
        match self {
            Self::Date => 10,
            Self::Seats => 3,
            Self::Name => 100,
            Self::Email => 254,
            Self::Wishes => 200,
        }
    }
}

impl Answers {
    /// Takes what was typed, if it is valid. `today`: the date in UTC.
    ///
    /// Errors: a [`Problem`]; the answer is then missing.
    pub fn take(&mut self, field: Field, typed: &str, today: NaiveDate) -> Result<(), Problem> {
        let typed = typed.trim();
        let is_plain = typed.chars().count() <= field.longest() && !typed.chars().any(char::is_control);
        match field {
            Field::Date => self.date = None,
            Field::Seats => self.seats = None,
            Field::Name => self.name = None,
            Field::Email => self.email = None,
            Field::Wishes => self.wishes = None,
        }
        match field {
            Field::Date => self.date = Some(date(typed, today)?),
            Field::Seats => self.seats = Some(seats(typed)?),
            // A name that nobody can see is none.
            Field::Name if !typed.chars().any(char::is_alphanumeric) => return Err(problem("Enter your name.")),
            Field::Name if !is_plain => {
                return Err(problem(format!("Your name may have at most {} characters.", field.longest())));
            }
            Field::Name => self.name = Some(typed.to_owned()),
            Field::Email => self.email = Some(email(typed, is_plain)?),
            Field::Wishes if !is_plain => {
                return Err(problem(format!("Your wishes may have at most {} characters.", field.longest())));
            }
            Field::Wishes => self.wishes = Some(typed.to_owned()),
        }
        Ok(())
    }

    /// The answer as a form shows it.
    pub fn text(&self, field: Field) -> Option<String> {
        match field {
            Field::Date => self.date.map(|date| date.to_string()),
            Field::Seats => self.seats.map(|seats| seats.to_string()),
            Field::Name => self.name.clone(),
            Field::Email => self.email.clone(),
            Field::Wishes => self.wishes.clone(),
        }
    }

    /// Whether every question of a step is answered.
    pub fn have_all_of(&self, step: super::Step) -> bool {
        step.fields().iter().all(|field| self.text(*field).is_some())
    }
}

/// The dates that can be booked: from tomorrow to a year from now.
pub fn dates(today: NaiveDate) -> RangeInclusive<NaiveDate> {
    today + Days::new(1)..=today + Months::new(12)
}

fn date(typed: &str, today: NaiveDate) -> Result<NaiveDate, Problem> {
    if typed.is_empty() {
        return Err(problem("Choose a date."));
    }
    let date = typed.parse().map_err(|_| problem("Enter the date as year, month and day: 2027-01-31."))?;
    let dates = dates(today);
    if date < *dates.start() {
        return Err(problem("Choose a date after today."));
    }
    if date > *dates.end() {
        return Err(problem("Choose a date within the next twelve months."));
    }
    Ok(date)
}

fn seats(typed: &str) -> Result<u8, Problem> {
    let seats = typed.parse().ok().filter(|seats| (1..=MOST_SEATS).contains(seats));
    seats.ok_or_else(|| problem(format!("Enter a number of seats from 1 to {MOST_SEATS}.")))
}

fn email(typed: &str, is_plain: bool) -> Result<String, Problem> {
    if typed.is_empty() {
        return Err(problem("Enter your e-mail address."));
    }
    let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
    let is_visible = typed.chars().all(|character| character.is_ascii_graphic() || character.is_alphanumeric());
    let is_address = is_plain && is_visible && EmailAddress::parse_with_options(typed, options).is_ok();
    is_address.then(|| typed.to_owned()).ok_or_else(|| problem("Enter an e-mail address such as name@example.com."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn today() -> NaiveDate {
        "2026-11-27".parse().expect("a date")
    }

    fn refusal(field: Field, typed: &str) -> String {
        Answers::default().take(field, typed, today()).expect_err(typed).0
    }

    #[test]
    fn valid_answers_come_back_as_they_were_meant() {
        for (field, typed, text) in [
            (Field::Date, " 2026-11-28 ", "2026-11-28"),
            (Field::Date, "2027-11-27", "2027-11-27"),
            (Field::Seats, "8", "8"),
            (Field::Seats, " 1", "1"),
            (Field::Name, " Żółta O'Neill <3 ", "Żółta O'Neill <3"),
            (Field::Email, "a+b@mail.example.com", "a+b@mail.example.com"),
            (Field::Email, "用户@例子.世界", "用户@例子.世界"),
            (Field::Wishes, "", ""),
            (Field::Wishes, "A window, please", "A window, please"),
        ] {
            let mut answers = Answers::default();
            assert_eq!(answers.take(field, typed, today()), Ok(()), "{typed}");
            assert_eq!(answers.text(field).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_a_sentence() {
        for (field, typed, sentence) in [
            (Field::Date, "", "Choose a date."),
            (Field::Date, "2026-11-27", "Choose a date after today."),
            (Field::Date, "2027-11-28", "Choose a date within the next twelve months."),
            (Field::Date, "2027-02-30", "Enter the date as year, month and day: 2027-01-31."),
            (Field::Date, "31.1.2027", "Enter the date as year, month and day: 2027-01-31."),
            (Field::Date, "9999-12-31", "Choose a date within the next twelve months."),
            (Field::Seats, "0", "Enter a number of seats from 1 to 8."),
            (Field::Seats, "9", "Enter a number of seats from 1 to 8."),
            (Field::Seats, "two", "Enter a number of seats from 1 to 8."),
            (Field::Seats, "1e0", "Enter a number of seats from 1 to 8."),
            (Field::Name, "  ", "Enter your name."),
            (Field::Name, "\u{200b}", "Enter your name."),
            (Field::Name, "a\nb", "Your name may have at most 100 characters."),
            (Field::Email, "", "Enter your e-mail address."),
            (Field::Email, "name", "Enter an e-mail address such as name@example.com."),
            (Field::Email, "na\u{200b}me@example.com", "Enter an e-mail address such as name@example.com."),
            (Field::Email, "name@localhost", "Enter an e-mail address such as name@example.com."),
            (Field::Email, "A <name@example.com>", "Enter an e-mail address such as name@example.com."),
            (Field::Email, "a@b.example\r\nBcc: c@d.example", "Enter an e-mail address such as name@example.com."),
        ] {
            assert_eq!(refusal(field, typed), sentence, "{typed}");
        }
        assert_eq!(refusal(Field::Name, &"a".repeat(101)), "Your name may have at most 100 characters.");
        assert_eq!(refusal(Field::Wishes, &"ü".repeat(201)), "Your wishes may have at most 200 characters.");
    }

    #[test]
    fn a_refused_answer_is_missing_afterwards() {
        let mut answers = Answers::default();
        answers.take(Field::Seats, "2", today()).expect("valid");
        answers.take(Field::Seats, "many", today()).expect_err("refused");
        assert_eq!(answers.seats, None);
    }

    proptest! {
        /// What a form shows is what it takes back.
        #[test]
        fn every_valid_answer_is_valid_again(typed in ".{0,30}", number in 0_usize..5) {
            let (field, mut answers) = (Field::EVERY[number], Answers::default());
            if answers.take(field, &typed, today()).is_ok() {
                let shown = answers.text(field).expect("answered");
                let mut again = Answers::default();
                prop_assert!(again.take(field, &shown, today()) == Ok(()));
                prop_assert!(again == answers);
            }
        }
    }
}
