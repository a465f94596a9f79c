//! What the commands talk to, and how they print.

use std::ops::Deref;

use stickshift::operator;

/// A site, and whether to print JSON.
pub(super) struct Site {
    pub(super) site: operator::Site,
    pub(super) is_json: bool,
}

impl Deref for Site {
    type Target = operator::Site;

    fn deref(&self) -> &operator::Site {
        &self.site
    }
}
