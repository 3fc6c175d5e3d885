//! Whatever is read, asked, answered and reloaded, in whatever order: nothing read is forgotten, what is remembered is
//! what would be said afresh, and people can agree only to what is permitted without them.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use nanoclaw_config::{
    DataClass, HostLabel, HostSet, IpNet, Label, Labels, ModelAccess, RuleSet, ToolClass, ToolLabel, Trust,
};
use nanoclaw_identity::CellSockets;
use nanoclaw_request::{Action, Arrived, Door, Exec, FileWrite, Origin, ProposedCall, SessionId, Syscall, Traced};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::property::{self, NET_RULES};
use super::{cell, ip, rules};
use crate::{CellRules, Engine, Generation, NOTHING_READ, Policies, Session, Verdict, Written, rule_set_texts};

/// Policies as somebody could write them. `ask` before one means that people can lift it.
const TEXTS: [&str; 13] = [
    r#"permit(principal, action == Action::"net_connect", resource)
       when { context has address && context.address.isInRange(ip("10.0.0.0/8")) };"#,
    r#"permit(principal, action == Action::"http_request", resource) when { resource.name like "*.example.com" };"#,
    r#"permit(principal, action == Action::"tool_call", resource) when { resource.readable };"#,
    r#"permit(principal, action == Action::"model_call", resource) unless { context.session.untrusted };"#,
    r#"forbid(principal, action == Action::"net_connect", resource)
       when { context.session.untrusted && !resource.trusted };"#,
    r#"ask forbid(principal, action == Action::"net_connect", resource)
       when { context.session.data > resource.data && context has address };"#,
    r#"ask forbid(principal, action == Action::"http_request", resource) when { context.session.data >= 2 };"#,
    r#"forbid(principal, action == Action::"file_write", resource)
       when { context.session.untrusted && resource.path like "/data*" };"#,
    r#"ask forbid(principal, action == Action::"exec", resource)
       when { context.command like "*a*" && context.session.data == 3 };"#,
    r#"forbid(principal, action == Action::"exec", resource) when { context.session.untrusted && context.now.hour < 0 };"#,
    r#"ask forbid(principal, action == Action::"net_resolve", resource) when { context.session.untrusted };"#,
    r#"ask forbid(principal, action == Action::"tool_call", resource)
       when { !context.vouched && context.session.untrusted };"#,
    r#"ask forbid(principal, action == Action::"tool_call", resource) when { context.said like "*x*" };"#,
];

/// What becomes of the policies that ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Asks,
    LeftOut,
    Forbids,
}

/// A generation, by what it is made of.
#[derive(Clone, Debug)]
struct Made {
    texts: Vec<&'static str>,
    sets: Vec<RuleSet>,
    networks: Vec<&'static str>,
    models: bool,
    labelled: bool,
}

impl Made {
    fn generation(&self, asking: Asking) -> Generation {
        let written =
            self.texts.iter().enumerate().filter_map(|(number, text)| match (text.strip_prefix("ask "), asking) {
                (Some(_), Asking::LeftOut) => None,
                (Some(text), Asking::Asks) => Some(format!("@id(\"p{number}\")\n@ask(\"sure?\")\n{text}")),
                (Some(text), Asking::Forbids) => Some(format!("@id(\"p{number}\")\n{text}")),
                (None, _) => Some(format!("@id(\"p{number}\")\n{text}")),
            });
        let plain = |text: String| {
            let lines = text.lines().filter(|line| !line.starts_with("@ask"));
            lines.map(|line| line.replace("@id(\"", "@id(\"own-")).collect::<Vec<_>>().join("\n")
        };
        let of_sets =
            self.sets.iter().filter(|_| asking == Asking::Forbids).flat_map(|set| rule_set_texts(*set)).map(plain);
        let text = written.chain(of_sets).collect::<Vec<_>>().join("\n");
        assert!(asking == Asking::Asks || !text.contains("@ask"), "{text}");
        let written =
            Written::read([(Path::new("p.cedar"), text.as_str())]).unwrap_or_else(|errors| panic!("{errors:?}"));
        let labels = if self.labelled { LABELS.clone() } else { Labels::default() };
        let sets = if asking == Asking::Asks { self.sets.clone() } else { Vec::new() };
        let models = self.models.then(|| ModelAccess { allow: vec!["main/*".to_owned()], ..ModelAccess::default() });
        let rules = CellRules { networks: rules(&self.networks), models, ..CellRules::default() };
        Generation::new(Arc::new(written), labels, sets).with_cell(cell(), rules)
    }
}

static LABELS: LazyLock<Labels> = LazyLock::new(|| {
    let host = |net: &str, prefix, trust, data| {
        let target = HostSet::Net(IpNet::new(ip(net), prefix).unwrap());
        HostLabel { id: String::new(), target, trust: Some(trust), data: Some(data) }
    };
    let tool = ToolLabel {
        id: "labels.tools[0]".to_owned(),
        name: "web_search".to_owned(),
        trust: Some(Trust::Trusted),
        data: None,
        does: Some([ToolClass::Sends].into()),
        destinations: Some(vec!["k".to_owned()]),
        allow: [("k".to_owned(), vec!["main/*".to_owned()])].into(),
        vouches: Vec::new(),
    };
    Labels {
        hosts: vec![
            host("10.0.0.0", 8, Trust::Trusted, DataClass::Secret),
            host("93.184.216.0", 24, Trust::Untrusted, DataClass::Internal),
        ],
        tools: vec![tool],
        ..Labels::default()
    }
});

fn made() -> impl Strategy<Value = Made> {
    let texts = subsequence(TEXTS.to_vec(), 0..TEXTS.len());
    let sets = subsequence(RuleSet::ALL.to_vec(), 0..=RuleSet::ALL.len());
    let networks = vec(select(&NET_RULES[..]), 0..5);
    (texts, sets, networks, any::<bool>(), any::<bool>()).prop_map(|(texts, sets, networks, models, labelled)| Made {
        texts,
        sets,
        networks,
        models,
        labelled,
    })
}

fn label() -> impl Strategy<Value = Label> {
    (select(&Trust::ALL[..]), select(&DataClass::ALL[..])).prop_map(|(trust, data)| Label::new(trust, data))
}

fn action() -> impl Strategy<Value = Action> {
    let path = || select(&["/data/x", "/workspace/a", "a"][..]).prop_map(str::to_owned);
    let write = (path(), any::<bool>()).prop_map(|(path, open)| {
        Action::FileWrite(FileWrite { operation: "open", path, obstacle: (!open).then_some(13) })
    });
    let exec = (path(), path(), any::<bool>()).prop_map(|(path, word, open)| {
        Action::Exec(Exec { path: path.clone(), command: vec![path, word], obstacle: (!open).then_some(13) })
    });
    let call = path().prop_map(|detail| Action::Syscall(Syscall { name: "bpf".to_owned(), detail }));
    let origin = select(&[Origin::User, Origin::Trusted, Origin::Unknown, Origin::Untrusted][..]);
    let traced = (property::action(), origin).prop_map(|(action, origin)| match action {
        Action::ToolCall(call) => {
            let of = |(argument, value): &(String, String)| Traced {
                argument: argument.clone(),
                value: value.clone(),
                origin,
            };
            let traced = call.arguments.iter().flatten().map(of).collect();
            Action::ToolCall(ProposedCall { traced, ..call })
        }
        other => other,
    });
    prop_oneof![1 => write, 1 => exec, 1 => call, 4 => traced]
}

/// What happens to a cell.
#[derive(Clone, Debug)]
enum Step {
    Reads(Label),
    Is(Box<Action>),
    Reloads(Made),
    Told(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => label().prop_map(Step::Reads),
        4 => action().prop_map(|action| Step::Is(Box::new(action))),
        2 => made().prop_map(Step::Reloads),
        1 => select(&["x", "main/a"][..]).prop_map(Step::Told),
    ]
}

struct World {
    engine: Engine,
    sockets: CellSockets,
}

impl World {
    fn new(made: &Made) -> Self {
        let policies = Policies::new(made.generation(Asking::Asks));
        let sockets = CellSockets::of(cell(), SessionId::from_random([0; 16]));
        Self { engine: Engine::of(policies, cell(), Arc::default()), sockets }
    }

    fn session(&self) -> &Session {
        self.engine.session()
    }

    fn judge(&self, action: &Action) -> Result<Verdict, Box<crate::Asked>> {
        let arrived = self.sockets.identify(Arrived::now(Door::Egress, ()));
        self.engine.judge(arrived.propose(|()| Ok(action.clone())))
    }

    /// The same cell in the same state, of which nobody has asked anything.
    fn afresh(&self) -> Engine {
        let generation = Generation::clone(&self.engine.policies().current());
        let session = Session::resumed(self.session().label());
        self.session().words().iter().for_each(|words| session.told(words));
        Engine::of(Policies::new(generation), cell(), Arc::new(session))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn labels_are_all_that_was_read_and_never_less(first in made(), steps in vec(step(), 1..12)) {
        let world = World::new(&first);
        let mut read = NOTHING_READ;
        for step in steps {
            match step {
                Step::Reads(label) => {
                    let joined = read.join(label);
                    prop_assert_eq!(world.session().read(label), (joined != read).then_some(joined));
                    read = joined;
                }
                Step::Is(action) => match world.judge(&action) {
                    Ok(_) => {}
                    Err(asked) => drop(world.engine.agreed(*asked, vec!["alice".to_owned()])),
                },
                Step::Reloads(made) => {
                    world.engine.policies().replace(made.generation(Asking::Asks));
                }
                Step::Told(words) => world.session().told(words),
            }
            prop_assert_eq!(world.session().label(), read);
        }
    }

    #[test]
    fn what_is_remembered_is_what_is_said_afresh(
        first in made(),
        actions in vec(action(), 1..5),
        steps in vec(step(), 1..8),
        forgets in 0..8_usize,
    ) {
        let world = World::new(&first);
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Reads(label) => drop(world.session().read(label)),
                Step::Is(action) => drop(world.engine.would(&action)),
                Step::Reloads(made) => {
                    world.engine.policies().replace(made.generation(Asking::Asks));
                }
                Step::Told(words) => world.session().told(words),
            }
            if number == forgets {
                world.session().reset();
            }
            let afresh = world.afresh();
            for action in actions.iter().chain(&actions) {
                prop_assert_eq!(world.engine.would(action), afresh.would(action), "{:?}", action);
            }
        }
    }

    /// With the policies that ask everything is as without them, but that some of what is permitted waits: just what would be
    /// forbidden if they could not be lifted.
    #[test]
    fn people_are_asked_only_about_what_is_permitted(
        made in made(),
        label in label(),
        actions in vec(action(), 1..6),
    ) {
        let engine = |asking| {
            let session = Session::resumed(label);
            session.told("x");
            Engine::of(Policies::new(made.generation(asking)), cell(), Arc::new(session))
        };
        let (asks, left_out, forbids) = (engine(Asking::Asks), engine(Asking::LeftOut), engine(Asking::Forbids));
        for action in actions {
            match (asks.would(&action), left_out.would(&action), forbids.would(&action)) {
                (Err(refusal), Err(same), Err(_)) => prop_assert_eq!(refusal, same, "{:?}", action),
                (Ok(would), Ok(same), forbidden) => {
                    prop_assert_eq!(&would.policies, &same.policies, "{:?}", action);
                    prop_assert_eq!(would.asking.is_some(), forbidden.is_err(), "{:?}: {:?}", action, would);
                    prop_assert!(same.asking.is_none());
                }
                other => prop_assert!(false, "{:?}: {:?}", action, other),
            }
        }
    }

    /// Between question and answer anything may happen.
    #[test]
    fn nobody_agrees_to_what_is_refused_by_then(
        first in made(),
        label in label(),
        actions in vec(action(), 1..6),
        steps in vec(step(), 0..4),
    ) {
        let world = World::new(&first);
        world.session().read(label);
        let asked: Vec<_> = actions.iter().filter_map(|action| Some((action, world.judge(action).err()?))).collect();
        for step in steps {
            match step {
                Step::Reads(label) => drop(world.session().read(label)),
                Step::Is(action) => drop(world.judge(&action)),
                Step::Reloads(made) => {
                    world.engine.policies().replace(made.generation(Asking::Asks));
                }
                Step::Told(words) => world.session().told(words),
            }
        }
        for (action, asked) in asked {
            let (policies, held) = (asked.policies().to_vec(), asked.held());
            let refused = match world.judge(action) {
                Ok(verdict) => Some(matches!(verdict, Verdict::Refused(_))),
                // To other policies, nobody has agreed.
                Err(now) if !now.policies().iter().all(|id| policies.contains(id)) => Some(true),
                Err(now) if now.held() == held => Some(false),
                // What a connection would read was known.
                Err(_) if matches!(action, Action::Connect(_)) => None,
                Err(_) => Some(true),
            };
            let agreed = world.engine.agreed(*asked, vec!["alice".to_owned()]);
            if let Some(refused) = refused {
                prop_assert_eq!(matches!(agreed, Verdict::Refused(_)), refused, "{:?}", action);
            }
        }
    }
}
