//! From the name that an agent gives to the models that it stands for.

use std::collections::BTreeMap;

use nanoclaw_config::{ModelRef, Models};
use nanoclaw_request::{Refusal, RefusalCode, Stage};

/// The names that agents may give.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    default: Option<String>,
    aliases: BTreeMap<String, Vec<ModelRef>>,
    providers: Vec<String>,
}

/// What an agent's name for a model stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Routed {
    /// The name, where the agent gave one of those that stand for its own model: that model.
    pub(crate) asked: String,
    /// What to try, in this order.
    pub(crate) candidates: Vec<ModelRef>,
}

/// Longest name of a model with its provider, in bytes. The configuration has the same bound.
const MAX_MODEL_BYTES: usize = 256;

/// What stands for the agent's own model, besides no name at all.
const OWN: [&str; 2] = ["default", "nanoclaw/default"];

impl Router {
    pub(crate) fn new(models: &Models) -> Self {
        Self {
            default: models.default.clone(),
            aliases: models.aliases.clone(),
            providers: models.providers.iter().map(|provider| provider.name.clone()).collect(),
        }
    }

    /// The names of the aliases.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = (&String, &Vec<ModelRef>)> {
        self.aliases.iter()
    }

    /// The model of an agent: its own, or the fleet's.
    pub(crate) fn own<'a>(&'a self, own: Option<&'a str>) -> Option<&'a str> {
        own.or(self.default.as_deref())
    }

    /// Finds what `asked` stands for, for an agent whose own model is `own`.
    ///
    /// # Errors
    /// No model has that name here.
    pub(crate) fn resolve(&self, asked: &str, own: Option<&str>) -> Result<Routed, Refusal> {
        let no_such_model =
            |reason, help| Refusal { stage: Stage::Inspect, code: RefusalCode::NoSuchModel, reason, help };
        if asked.len() > MAX_MODEL_BYTES {
            let reason = format!("the name of the model is longer than {MAX_MODEL_BYTES} bytes");
            return Err(no_such_model(reason, String::new()));
        }
        let own = self.own(own);
        let asked = own.filter(|_| asked.is_empty() || OWN.contains(&asked)).unwrap_or(asked);
        let configured = |model: &ModelRef| self.providers.contains(&model.provider);
        let found = match (self.aliases.get(asked), ModelRef::parse(asked).filter(configured)) {
            (Some(candidates), _) => Some((asked, candidates.clone())),
            (None, Some(model)) => Some((asked, vec![model])),
            (None, None) => own.and_then(|own| Some((own, vec![self.bare(asked, own)?]))),
        };
        let Some((asked, candidates)) = found else {
            // The fleet's aliases are not for every agent to know.
            let help = "write a name that `GET /v1/models` lists, `PROVIDER/MODEL`, or `default`".to_owned();
            return Err(no_such_model(format!("there is no model `{asked}` here"), help));
        };
        Ok(Routed { asked: asked.to_owned(), candidates })
    }

    /// A model that is named without its provider: clients that were set up for a provider's own address do so. It is
    /// taken for the agent's own where that has the name, and for nothing else.
    fn bare(&self, asked: &str, own: &str) -> Option<ModelRef> {
        let candidates = match self.aliases.get(own) {
            Some(candidates) => candidates.clone(),
            None => vec![ModelRef::parse(own)?],
        };
        candidates.into_iter().find(|candidate| candidate.model == asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router {
        let model = |text| ModelRef::parse(text).unwrap();
        Router {
            default: Some("main/large".to_owned()),
            aliases: BTreeMap::from([("robust".to_owned(), vec![model("main/large"), model("spare/x/y")])]),
            providers: vec!["main".to_owned(), "spare".to_owned()],
        }
    }

    fn names(asked: &str, own: Option<&str>) -> Option<(String, Vec<String>)> {
        let routed = router().resolve(asked, own).ok()?;
        Some((routed.asked, routed.candidates.iter().map(ModelRef::to_string).collect()))
    }

    #[test]
    fn names_lead_to_models() {
        let is = |asked: &str, candidates: &[&str]| {
            Some((asked.to_owned(), candidates.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()))
        };
        assert_eq!(names("", None), is("main/large", &["main/large"]));
        assert_eq!(names("default", Some("robust")), is("robust", &["main/large", "spare/x/y"]));
        assert_eq!(names("spare/x/y", None), is("spare/x/y", &["spare/x/y"]));
        assert_eq!(names("large", None), is("main/large", &["main/large"]), "the rule for its own model allows it");
        assert_eq!(names("x/y", Some("robust")), is("robust", &["spare/x/y"]));
        assert_eq!(names("other", None), None);
        assert_eq!(names("nobody/large", None), None, "a provider that is not configured is not dialled");
    }

    #[test]
    fn an_endless_name_is_not_repeated() {
        let refusal = router().resolve(&format!("main/{}", "x".repeat(252)), None).unwrap_err();
        assert_eq!(refusal.to_string(), "the name of the model is longer than 256 bytes");
        assert!(router().resolve(&format!("main/{}", "x".repeat(251)), None).is_ok());
    }

    #[test]
    fn a_name_that_is_not_there_is_not_answered_with_those_of_others() {
        let refusal = router().resolve("smal", None).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "there is no model `smal` here; write a name that `GET /v1/models` lists, `PROVIDER/MODEL`, or `default`"
        );
    }
}
