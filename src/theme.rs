//! How a version looks. The values are checked, so that none can break out of the style sheet.

use csscolorparser::Color;

/// A version's theme: four settings of its theme file, and values that follow from them.
#[derive(Debug, Clone)]
pub struct Theme {
    /// `VERSION_NAME`: 1 to 64 characters without control characters.
    pub name: String,
    /// `BACKGROUND_COLOR` as `#rrggbb`.
    pub background: String,
    /// `COLOR` of the text as `#rrggbb`.
    pub color: String,
    /// The color behind the text. It is the background's color, changed until the text has enough
    /// contrast.
    pub panel: String,
    /// `FONT_FAMILY`: names separated by commas.
    pub font_family: String,
    /// Whether the text is lighter than the background.
    pub is_dark: bool,
}

/// A value of a theme is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ThemeError {
    /// The setting's name, in lower case.
    pub setting: &'static str,
    reason: String,
}

/// The contrast that small text needs: [WCAG 2.2, 1.4.3](https://www.w3.org/TR/WCAG22/#contrast-minimum).
const ENOUGH_CONTRAST: f32 = 4.5;

impl Theme {
    /// Checks the four values. Errors: the first [`ThemeError`].
    pub fn new(name: &str, background_color: &str, color: &str, font_family: &str) -> Result<Self, ThemeError> {
        if !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(refuse("version_name", "expected 1 to 64 characters without control characters".into()));
        }
        let is_family = |family: &str| {
            let allowed = |character: char| character.is_ascii_alphanumeric() || " _-".contains(character);
            !family.trim().is_empty() && family.chars().all(allowed)
        };
        if font_family.len() > 200 || !font_family.split(',').all(is_family) {
            let reason = "expected font names separated by commas, each of letters, digits, spaces, _ and -";
            return Err(refuse("font_family", format!("`{}`: {reason}", shortened(font_family))));
        }
        let background = parse_color("background_color", background_color)?;
        let text = parse_color("color", color)?;
        let is_dark = luminance(&text) > luminance(&background);
        Ok(Self {
            name: name.to_owned(),
            panel: panel(&background, &text, is_dark).to_css_hex().to_string(),
            background: background.to_css_hex().to_string(),
            color: text.to_css_hex().to_string(),
            font_family: font_family.trim().to_owned(),
            is_dark,
        })
    }
}

fn refuse(setting: &'static str, reason: String) -> ThemeError {
    ThemeError { setting, reason }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The style sheet gets the parsed color, written anew, and never the text.
fn parse_color(setting: &'static str, text: &str) -> Result<Color, ThemeError> {
    match csscolorparser::parse(text) {
        Ok(color) if color.a >= 1.0 => Ok(color),
        Ok(_) => Err(refuse(setting, format!("`{}`: expected a color without transparency", shortened(text)))),
        Err(_) => Err(refuse(setting, format!("`{}`: expected a CSS color, for example #08122C", shortened(text)))),
    }
}

/// The color behind the text. The article's first theme has a contrast of 4.3, which is too little for
/// small text, so the text stands on a panel.
fn panel(background: &Color, text: &Color, is_dark: bool) -> Color {
    let pole = if is_dark { Color::new(0.0, 0.0, 0.0, 1.0) } else { Color::new(1.0, 1.0, 1.0, 1.0) };
    let mixes = (2..=8).map(|eighths| background.interpolate_rgb(&pole, eighths as f32 / 8.0));
    mixes.clone().find(|mix| contrast(mix, text) >= ENOUGH_CONTRAST).unwrap_or_else(|| {
        log::warn!("COLOR can hardly be read on BACKGROUND_COLOR: choose a darker and a lighter color");
        pole
    })
}

/// [Contrast ratio](https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio), 1 to 21.
fn contrast(one: &Color, other: &Color) -> f32 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// [Relative luminance](https://www.w3.org/TR/WCAG22/#dfn-relative-luminance), 0 to 1.
fn luminance(color: &Color) -> f32 {
    let [red, green, blue, _] = color.to_linear_rgba();
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theme(background: &str, color: &str) -> Theme {
        Theme::new("Version 1.0", background, color, "Serif").expect("a good theme")
    }

    #[test]
    fn text_can_be_read_on_the_panel_of_every_theme() {
        for (background, color) in [("#F0A5C1", "#255"), ("#08122C", "#E8C2C8"), ("white", "#999"), ("#777", "#888")] {
            let theme = theme(background, color);
            let parse = |text: &str| csscolorparser::parse(text).expect("a color");
            let contrast = contrast(&parse(&theme.panel), &parse(&theme.color));
            let best = if theme.is_dark { "#000000" } else { "#ffffff" };
            assert!(contrast >= ENOUGH_CONTRAST || theme.panel == best, "{background} {color}: {contrast}");
        }
        assert!(!theme("#F0A5C1", "#255").is_dark);
        assert!(theme("#08122C", "#E8C2C8").is_dark);
    }

    #[test]
    fn values_that_could_break_out_of_css_are_refused() {
        let refused = |background: &str, color: &str, font: &str| {
            Theme::new("Version 1.0", background, color, font).expect_err("must be refused").setting
        };
        assert_eq!(refused("red;} body{display:none", "#255", "Serif"), "background_color");
        assert_eq!(refused("#fff", "url(https://evil.example)", "Serif"), "color");
        assert_eq!(refused("#fff", "#25500080", "Serif"), "color");
        for font in ["Serif; } *{", "Serif\"", "a\\b", "", "Serif,", "url(x)", "</style>", "Seri\nf"] {
            assert_eq!(refused("#fff", "#255", font), "font_family", "{font:?}");
        }
        assert_eq!(Theme::new("a\u{7}", "#fff", "#255", "Serif").expect_err("bell").setting, "version_name");
    }
}
