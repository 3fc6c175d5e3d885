//! Whether a style hides what it is for.

use std::collections::HashSet;

/// Longest style that is looked at, in bytes.
const LONGEST: usize = 2048;
/// Most rules of a sheet that are remembered.
const MOST_RULES: usize = 256;

/// Declarations that hide by themselves, without spaces.
const HIDING: [&str; 13] = [
    "display:none",
    "visibility:hidden",
    "visibility:collapse",
    "font-size:0",
    "font:0",
    "clip:rect(0",
    "clip:rect(1px",
    "clip-path:inset(50%",
    "clip-path:inset(100%",
    "transform:scale(0",
    "color:transparent",
    "content-visibility:hidden",
    "mso-hide:all",
];
/// Places outside of every screen.
const PLACES: [&str; 7] = ["left:-", "right:-", "top:-", "bottom:-", "text-indent:-", "translate(-", "margin-left:-"];

/// Whether these declarations hide what they are for.
pub(super) fn hides(style: &str) -> bool {
    let style = style.get(..style.floor_char_boundary(LONGEST)).unwrap_or(style);
    let style: String = style.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect();
    if HIDING.iter().any(|hiding| style.match_indices(hiding).any(|(at, _)| is_nothing(&style, at, hiding))) {
        return true;
    }
    if style.split(';').any(|one| one.strip_prefix("opacity:").is_some_and(is_zero) || one.starts_with("font-size:1px"))
    {
        return true;
    }
    let far = |place: &str| style.match_indices(place).any(|(at, _)| digits(style.get(at + place.len()..)) >= 3);
    if PLACES.iter().any(|place| far(place)) {
        return true;
    }
    let none = |name: &str| {
        style.split(';').any(|one| one.strip_prefix(name).is_some_and(|value| is_zero(value.trim_end_matches("px"))))
    };
    if style.contains("overflow:hidden")
        && ["width:", "height:", "max-width:", "max-height:"].iter().any(|name| none(name))
    {
        return true;
    }
    same_colour(&style)
}

/// `font-size:0` hides, `font-size:0.9em` does not.
fn is_nothing(style: &str, at: usize, hiding: &str) -> bool {
    let begins =
        style.get(..at).is_none_or(|before| !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-'));
    let rest = style.get(at + hiding.len()..).unwrap_or_default();
    begins && (!hiding.ends_with('0') || !rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.starts_with('.'))
}

fn is_zero(value: &str) -> bool {
    value.trim_end_matches('%').parse::<f32>().is_ok_and(|value| value.abs() < 0.05)
}

fn digits(text: Option<&str>) -> usize {
    text.unwrap_or_default().bytes().take_while(u8::is_ascii_digit).count()
}

/// White on white, and whatever else is written in the colour of its ground. Where the ground is not said, it is white.
fn same_colour(style: &str) -> bool {
    let value = |names: &[&str]| {
        style
            .split(';')
            .filter_map(|one| one.split_once(':'))
            .find(|(name, _)| names.contains(name))
            .map(|(_, value)| value)
    };
    let Some(colour) = value(&["color"]) else { return false };
    let ground = value(&["background-color", "background"]).unwrap_or("white");
    let name = |colour: &str| match colour.trim_end_matches("!important") {
        "#fff" | "#ffffff" | "rgb(255,255,255)" | "rgba(255,255,255,1)" | "#fefefe" => "white".to_owned(),
        other => other.to_owned(),
    };
    name(colour) == name(ground)
}

/// Classes and ids that a sheet hides, with their `.` or `#`.
#[derive(Debug, Default)]
pub(super) struct Sheet<'a> {
    hidden: HashSet<&'a str>,
}

impl<'a> Sheet<'a> {
    /// Takes over the rules of a sheet.
    pub fn add(&mut self, sheet: &'a str) {
        for rule in sheet.split('}') {
            let Some((selectors, declarations)) = rule.rsplit_once('{') else { continue };
            if self.hidden.len() >= MOST_RULES {
                break;
            }
            if !hides(declarations) {
                continue;
            }
            let selectors = selectors.rsplit_once('{').map_or(selectors, |(_, inner)| inner);
            let simple = |name: &&str| name.starts_with(['.', '#']) && !name.contains([' ', ':', '>', '[']);
            self.hidden.extend(selectors.split(',').map(str::trim).filter(simple).take(MOST_RULES));
        }
    }

    /// Whether one of these classes is hidden.
    pub fn hides(&self, mark: char, names: &str) -> bool {
        !self.hidden.is_empty()
            && names
                .split_ascii_whitespace()
                .take(MOST_RULES)
                .any(|name| self.hidden.contains(format!("{mark}{name}").as_str()))
    }
}
