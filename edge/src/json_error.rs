//! Telling what is wrong with JSON without repeating what is in it.

/// The error's text without the value that is wrong, since that may be a cookie or a key. Names of fields stay.
pub(crate) fn without_value(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    for kind in ["invalid type", "invalid value", "unknown variant"] {
        if text.starts_with(kind)
            && let Some(expected) = text.rfind(", expected")
        {
            return format!("{kind}{}", &text[expected..]);
        }
    }
    text
}
