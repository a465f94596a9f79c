//! Error messages about JSON that do not repeat its values.

/// The error's text without the wrong value, which may be a cookie or a key. The names of fields stay.
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
