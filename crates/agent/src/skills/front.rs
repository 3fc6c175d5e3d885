//! The front matter of a `SKILL.md`: lines between two lines `---`, in a subset of YAML.
//!
//! Two keys matter, `name` and `description`, each a plain or quoted text on its line. Everything else is left to whoever
//! it is for.

/// What stands in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub name: String,
    pub description: String,
}

/// Reads the front matter of `text`, which may be only the beginning of a file. The error says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Front, String> {
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
    if lines.next().map(str::trim_end) != Some("---") {
        return Err("it does not begin with a line `---`".to_owned());
    }
    let (mut name, mut description) = (None, None);
    for line in lines {
        if line.trim_end() == "---" {
            let missing = |key: &str| format!("its front matter has no `{key}`");
            let name = name.ok_or_else(|| missing("name"))?;
            let description = description.ok_or_else(|| missing("description"))?;
            return Ok(Front { name, description });
        }
        let Some((key, text)) = line.split_once(':') else { continue };
        let slot = match key.trim_end() {
            "name" => &mut name,
            "description" => &mut description,
            _ => continue,
        };
        let value = value(text).map_err(|what| format!("its `{}` {what}", key.trim_end()))?;
        if slot.replace(value).is_some() {
            return Err(format!("its front matter has `{}` twice", key.trim_end()));
        }
    }
    Err("its front matter has no end, a line `---`, or is too long".to_owned())
}

/// A plain or quoted scalar on one line (YAML 1.2, section 7.3).
fn value(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let (value, rest) = match text.chars().next() {
        None | Some('#') => return Err("is empty; write it on the same line"),
        Some('|' | '>') => return Err("is a block of lines; write it on one line"),
        Some('[' | '{' | '&' | '*' | '!' | '%' | '@' | '`') => return Err("is no text; put it into quotes"),
        Some('\'') => single(text)?,
        Some('"') => double(text)?,
        Some(_) => {
            let end = text.find(" #").unwrap_or(text.len());
            (text.get(..end).unwrap_or(text).trim_end().to_owned(), "")
        }
    };
    if !(rest.is_empty() || rest.trim_start().starts_with('#')) {
        return Err("goes on behind its quotes");
    }
    if value.trim().is_empty() { Err("is empty") } else { Ok(value) }
}

/// What stands in single quotes, and what follows. A quote is written twice.
fn single(text: &str) -> Result<(String, &str), &'static str> {
    let mut out = String::new();
    let mut rest = text.get(1..).unwrap_or_default();
    loop {
        let (before, after) = rest.split_once('\'').ok_or("has no closing quote")?;
        out.push_str(before);
        match after.strip_prefix('\'') {
            Some(after) => {
                out.push('\'');
                rest = after;
            }
            None => return Ok((out, after)),
        }
    }
}

/// What stands in double quotes, and what follows.
fn double(text: &str) -> Result<(String, &str), &'static str> {
    let mut out = String::new();
    let mut chars = text.chars();
    chars.next();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok((out, chars.as_str())),
            '\\' => match chars.next() {
                Some(c @ ('"' | '\\' | '/')) => out.push(c),
                Some('n' | 't') => out.push(' '),
                _ => return Err("has an escape that is not one of \\\" \\\\ \\/ \\n \\t"),
            },
            c => out.push(c),
        }
    }
    Err("has no closing quote")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, description: &str) -> Result<Front, String> {
        parse(&format!("---\nname: {name}\ndescription: {description}\n---\n# Body\nname: other\n"))
    }

    #[test]
    fn plain_and_quoted_values_are_read() {
        for (written, is) in [
            ("Fills PDF forms", "Fills PDF forms"),
            ("Use when: a form comes # often", "Use when: a form comes"),
            ("C#-code and a:b", "C#-code and a:b"),
            ("'it''s # fine'", "it's # fine"),
            ("\"say \\\"hi\\\"\\n\\\\now\" # comment", "say \"hi\" \\now"),
            ("银行 # x", "银行"),
        ] {
            assert_eq!(read("pdf", written).unwrap(), Front { name: "pdf".into(), description: is.into() });
        }
    }

    #[test]
    fn other_keys_lists_and_blocks_are_left_alone() {
        let text = "\u{feff}---\r\nlicense: MIT\r\nmetadata:\r\n  name: inner\r\nallowed-tools: [a, b]\r\n\
                    # comment\r\nname: pdf\r\nnotes: |\r\n  description: not this\r\ndescription: 'd'\r\n---\r\n";
        assert_eq!(parse(text).unwrap(), Front { name: "pdf".into(), description: "d".into() });
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (text, says) in [
            ("", "it does not begin with a line `---`"),
            ("# Skill\n---\nname: a\n---\n", "it does not begin with a line `---`"),
            ("---\nname: a\ndescription: b\n", "its front matter has no end, a line `---`, or is too long"),
            ("---\ndescription: b\n---\n", "its front matter has no `name`"),
            ("---\nname: a\n---\n", "its front matter has no `description`"),
            ("---\nname: a\nname: b\n---\n", "its front matter has `name` twice"),
            ("---\nname:\n---\n", "its `name` is empty; write it on the same line"),
            ("---\nname: ''\n---\n", "its `name` is empty"),
            ("---\ndescription: >\n  folded\n---\n", "its `description` is a block of lines; write it on one line"),
            ("---\nname: [a]\n---\n", "its `name` is no text; put it into quotes"),
            ("---\nname: 'a\n---\n", "its `name` has no closing quote"),
            ("---\nname: \"a\\x41\"\n---\n", "its `name` has an escape that is not one of \\\" \\\\ \\/ \\n \\t"),
            ("---\nname: 'a' b\n---\n", "its `name` goes on behind its quotes"),
        ] {
            assert_eq!(parse(text).unwrap_err(), says, "{text:?}");
        }
    }
}
