//! Who answers.

/// A person, who can have several names: an account here, and what an issuer calls them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    name: String,
    also: Vec<String>,
}

impl Person {
    /// Somebody who answers as `name`, and is known to be called `also` too.
    pub fn of(name: impl Into<String>, also: impl IntoIterator<Item = String>) -> Self {
        Self { name: name.into(), also: also.into_iter().collect() }
    }

    /// The name that they answer as, which is on record.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.also.iter().map(String::as_str))
    }

    /// Whether they are called so too.
    pub fn is(&self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }

    /// Whether both are one.
    pub fn is_same(&self, other: &Person) -> bool {
        self.names().any(|name| other.is(name))
    }
}

impl From<&str> for Person {
    fn from(name: &str) -> Self {
        Self::of(name, [])
    }
}

impl From<&String> for Person {
    fn from(name: &String) -> Self {
        Self::of(name.as_str(), [])
    }
}
