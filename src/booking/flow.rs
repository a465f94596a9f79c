//! In which steps a version asks.

use super::answers::{Answers, Field};

/// How a version asks for a booking. The theme file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The trip, then the contact, then the confirmation.
    ThreeSteps,
    /// All of it in one form, with wishes, then the confirmation.
    TwoSteps,
}

/// One step of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// When, and how many people.
    Trip,
    /// Who.
    Contact,
    /// When, how many, who, and what they wish.
    Details,
    /// The last look at all of it.
    Confirm,
}

impl Flow {
    /// Every flow.
    pub const EVERY: [Self; 2] = [Self::ThreeSteps, Self::TwoSteps];

    /// The name in theme files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ThreeSteps => "three-steps",
            Self::TwoSteps => "two-steps",
        }
    }

    /// The steps, in order. The last one confirms.
    pub fn steps(self) -> &'static [Step] {
        match self {
            Self::ThreeSteps => &[Step::Trip, Step::Contact, Step::Confirm],
            Self::TwoSteps => &[Step::Details, Step::Confirm],
        }
    }

    /// The step of this flow with that name.
    pub fn step(self, name: &str) -> Option<Step> {
        self.steps().iter().copied().find(|step| step.as_str() == name)
    }

    /// The step to show to somebody who wants to see `wanted`: the first step that is not answered, but none after
    /// `wanted`. A `wanted` of another flow does not count.
    pub fn step_to_show(self, wanted: Option<Step>, answers: &Answers) -> Step {
        let is_next = |step: &Step| Some(*step) == wanted || !answers.have_all_of(*step);
        self.steps().iter().copied().find(is_next).unwrap_or(Step::Confirm)
    }
}

impl Step {
    /// Every step of every flow.
    pub const EVERY: [Self; 4] = [Self::Trip, Self::Contact, Self::Details, Self::Confirm];

    /// The step with that name, of whichever flow.
    pub fn parse(name: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|step| step.as_str() == name)
    }

    /// The name in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trip => "trip",
            Self::Contact => "contact",
            Self::Details => "details",
            Self::Confirm => "confirm",
        }
    }

    /// What the step asks for, in the order of its form.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::Trip => &[Field::Date, Field::Seats],
            Self::Contact => &[Field::Name, Field::Email],
            Self::Details => &Field::EVERY,
            Self::Confirm => &[],
        }
    }

    /// The heading of its page.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Trip => "When do you want to go?",
            Self::Contact => "Who is going?",
            Self::Details => "Your trip",
            Self::Confirm => "Check your booking",
        }
    }
}
