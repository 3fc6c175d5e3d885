//! The schema, the policies that hold for every fleet, and the names of everything in them. Read once.

use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet, Schema};

/// The schema that all policies are checked against, in Cedar's syntax.
pub const SCHEMA: &str = include_str!("schema.cedarschema");
/// The policies that hold for every fleet.
pub const BASE: &str = include_str!("base.cedar");

/// A type of entity.
#[derive(Clone, Debug)]
pub(crate) struct Type(EntityTypeName);

impl Type {
    fn parse(name: &str) -> Result<Self, String> {
        name.parse().map(Self).map_err(|error| format!("`{name}`: {error}"))
    }

    /// The entity of this type with the id.
    pub(crate) fn of(&self, id: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.0.clone(), EntityId::new(id))
    }
}

/// The parts of the language.
#[derive(Debug)]
pub(crate) struct Language {
    pub(crate) base: PolicySet,
    pub(crate) action: Type,
    pub(crate) agent: Type,
    pub(crate) fleet: Type,
    pub(crate) group: Type,
    pub(crate) host: Type,
    pub(crate) file: Type,
    pub(crate) model: Type,
    pub(crate) operator: Type,
    pub(crate) program: Type,
    pub(crate) role: Type,
    pub(crate) system_call: Type,
    pub(crate) tool: Type,
    pub(crate) trigger: Type,
}

impl Language {
    /// The language. The error is a defect of this program; whoever has it refuses everything.
    pub(crate) fn get() -> Result<&'static Self, String> {
        static LANGUAGE: LazyLock<Result<Language, String>> = LazyLock::new(Language::read);
        LANGUAGE.as_ref().map_err(String::clone)
    }

    fn read() -> Result<Self, String> {
        let named = Type::parse;
        Ok(Self {
            base: by_id(BASE)?,
            action: named("Action")?,
            agent: named("Agent")?,
            fleet: named("Fleet")?,
            group: named("Group")?,
            host: named("Host")?,
            file: named("File")?,
            model: named("Model")?,
            operator: named("Operator")?,
            program: named("Program")?,
            role: named("Role")?,
            system_call: named("SystemCall")?,
            tool: named("Tool")?,
            trigger: named("Trigger")?,
        })
    }
}

/// Policies of NanoClaw's own, known by their `@id`.
pub(crate) fn by_id(text: &str) -> Result<PolicySet, String> {
    let read: PolicySet = text.parse().map_err(|error: cedar_policy::ParseErrors| error.to_string())?;
    let mut policies = PolicySet::new();
    for policy in read.policies() {
        let id = policy.annotation("id").ok_or("a policy without `@id`")?;
        policies.add(policy.new_id(PolicyId::new(id))).map_err(|error| error.to_string())?;
    }
    Ok(policies)
}

/// The policies of [`BASE`], one by one.
pub fn base_texts() -> Vec<String> {
    Language::get().map(|language| language.base.policies().map(ToString::to_string).collect()).unwrap_or_default()
}

/// The schema. Only what somebody wrote is checked against it, so that no start waits for it: a test checks what NanoClaw
/// itself asks and says.
pub(crate) fn schema() -> Result<&'static Schema, String> {
    static SCHEMA_READ: LazyLock<Result<Schema, String>> = LazyLock::new(|| {
        let read = Schema::from_cedarschema_str(SCHEMA);
        read.map(|(schema, _warnings)| schema).map_err(|error| format!("the schema: {error}"))
    });
    SCHEMA_READ.as_ref().map_err(String::clone)
}
