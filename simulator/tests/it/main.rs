//! The invariants hold, and the simulator finds every safeguard that is taken out.

mod safeguards;
mod search;
