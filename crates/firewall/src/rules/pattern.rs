//! The language of the rules' patterns: regular expressions in which three things are shorter.
//!
//! - A space is what may stand between two words: white space and the signs that people put there, not the end of a sentence.
//! - `…` is up to 60 characters of the same sentence.
//! - `«name»` is a word or phrase of [`WORDS`].
//!
//! `\b`, `\s`, `\d` and `\w` are of ASCII in lower case, which is all that folded text has of these.

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

/// Largest compiled pattern, in bytes.
const MAX_PATTERN_SIZE: usize = 4 << 20;
/// Largest cache of a pattern's automaton, in bytes; a search that needs more goes on without one.
const CACHE_CAPACITY: usize = 2 << 20;

/// What stands between two words.
const GAP: &str = r#"(?:[\t\n\r\x20"'*_~|/\\:,()\[\]<>#`+=&{}-]{1,6})"#;
/// A stretch of a sentence.
const STRETCH: &str = "(?:[^.!?;\n。！？；]{0,60}?)";

/// Words and phrases that many rules need. One may use those above it.
const WORDS: &[(&str, &str)] = &[
    // Instructions, as a model has them.
    (
        "rules",
        r"(?:instructi?ons?|instrucitons?|directi(?:ve|on)s?|prompts?|commands?|guidelines?|rules?|orders?|context|system ?(?:prompts?|messages?|instructions?)|programming|training|guidance|guardrails?|constraints?|restrictions?|polic(?:y|ies)|safeguards?|limitations?|filters?|messages?|conversations?|inputs?|requests?|tasks?|sentences?|text|content|data|configurations?|settings?|parameters?|protocols?|role|persona|assignments?|objectives?|goals?|roles)",
    ),
    // The narrow kind: what only a model or an agent has.
    (
        "orders",
        r"(?:instructions?|instrucitons?|directi(?:ve|on)s?|prompts?|commands?|guidelines?|rules|programming|guardrails?|system ?(?:prompts?|messages?|instructions?)|safeguards?|guidance|context|restrictions?|orders|tasks?|protocols?)",
    ),
    // What hardly anybody but a model has to follow.
    (
        "cmds",
        r"(?:instructi?ons?|instrucitons?|directi(?:ve|on)s?|prompts?|commands?|guidelines|programming|system ?(?:prompts?|messages?|instructions?)|safeguards?|context)",
    ),
    (
        "prior",
        r"(?:previous(?:ly)?|prior|above|earlier|preceding|foregoing|original|initial|existing|past|aforementioned|former|current|old|other|system|developer|first|last|default|safety|content)",
    ),
    (
        "before",
        r"(?:previous|prior|above|earlier|preceding|foregoing|original|initial|existing|past|former|aforementioned)",
    ),
    (
        "ignore",
        r"(?:ignor(?:e|ing|iere)|disregard(?:ing)?|forget(?:ting)?|overrid(?:e|ing)|bypass(?:ing)?|neglect|discard|overlook|dismiss|set aside|throw (?:away|out)|cancel|erase|drop|abandon|scrap|void|nullify|skip|pay no (?:attention|heed|mind) to|let go of|put aside|leave aside|(?:do not|don'?t|never|stop) (?:follow(?:ing)?|obey(?:ing)?|listen(?:ing)? to|adher(?:e|ing) to|comply(?:ing)? with|use|using|consider(?:ing)?|heed(?:ing)?))",
    ),
    (
        "all",
        r"(?:(?:all|any|every|each|everything|the|your|of|these|those|this|that|my|our|its|their|entire|whole|completely|totally|please|just|and|or|to|in|about|what(?:ever)?|other|such) ){0,5}",
    ),
    (
        "ai",
        r"(?:ai|a\.i\.|llms?|gpt(?:-?\d)?|chat ?gpt|chat ?bots?|bots?|assistants?|(?:language|large language|ai) models?|model|agents?|copilot|claude|gemini|ai (?:assistants?|agents?|models?|systems?|readers?|reviewers?|tools?|scrapers?|crawlers?|summari[sz]ers?))",
    ),
    // Who is certainly a machine.
    (
        "machine",
        r"(?:ai|llms?|chat ?gpt|gpt|copilot|claude|gemini|(?:the|any|all|every|an|this) (?:ai|llm|bot|chatbot|language model|assistant|agent|model)|ai (?:assistants?|agents?|models?|systems?|readers?|reviewers?|tools?|scrapers?|crawlers?|summari[sz]ers?|bots?)|(?:large )?language models?|llm (?:agents?|assistants?|reviewers?|readers?)|(?:virtual|email|coding|automated|summari[sz]ing) (?:assistants?|agents?))",
    ),
    (
        "secret",
        r"(?:secrets?|passwords?|pass ?codes?|pass ?phrases?|(?:secret|api|access|private|ssh|encryption|signing) ?keys?|credentials?|tokens?|secret (?:word|code|phrase|string)s?)",
    ),
    (
        "prompt",
        r"(?:(?:system|initial|original|hidden|internal|secret|developer|base|core|pre|starting|first|full|entire|complete|exact|whole|foundational?|underlying|root|custom) ){0,3}(?:prompts?|instructions?|pre-?prompt|guidelines|directives|system messages?|configuration|rules|programming)",
    ),
    ("send", r"(?:send|e-?mail|forward|post|upload|transmit|exfiltrate|leak|relay|submit|deliver|copy|cc|bcc|share)"),
    ("please", r"(?:(?:please|kindly|now|just|simply|also|then|instead|must|should|immediately|first) ){0,3}"),
    // Chinese.
    (
        "忽略",
        "(?:忽略|忽视|无视|忽略掉|不理会|不要理会|不用理会|别理会?|不要管|不用管|别管|不必管|不要理|不用理|不必理会|抛开|抛弃|丢掉|丢弃|放弃|忘记|忘掉|忘了|忘却|遗忘|清空|清除|删除|取消|作废|撤销|覆盖|推翻|绕过|跳过|停止(?:遵守|执行|遵循)|(?:不要|别|不再|不用|不必|无须|无需|不得)(?:再)?(?:遵守|遵循|遵照|听从|执行|服从|理睬|参考|按照|受限于)|唔好理|唔使理|唔好再?跟|唔使跟|唔好听|毋须理会|莫理|甭管|甭理)",
    ),
    // The verbs that are said of instructions, and hardly of anything else.
    (
        "无视",
        "(?:忽略|忽视|无视|忽略掉|不理会|不要理会|不用理会|别理会?|不要管|不用管|别管|不必管|不要理|不用理|不必理会|抛开|丢掉|忘记|忘掉|忘了|停止(?:遵守|执行|遵循)|(?:不要|别|不再|不用|不必|无须|无需|不得)(?:再)?(?:遵守|遵循|遵照|听从|服从|理睬)|唔好理|唔使理|唔好再?跟|唔使跟|唔好听|毋须理会|莫理|甭管|甭理)",
    ),
    (
        "之前",
        "(?:之前|以前|先前|此前|从前|前面|前述|上面|上述|以上|上边|前边|上文|前文|早前|较早前|原先|原来|原本|原有|最初|初始|一开始|开头|既有|既定|现有|原|旧|过去|头先|啱先|刚才|刚刚|上头|之前系统)",
    ),
    (
        "指令",
        "(?:指令|指示|提示词?|提示语|命令|要求|规则|规定|规范|设定|设置|约束|限制|准则|守则|原则|指引|指南|系统消息|系统讯息|对话|上下文|内容|说明|吩咐|任务|人设|角色|身份|训练|安全策略|策略|条款|政策|prompt|instructions?)",
    ),
    (
        "令",
        "(?:指令|指示|提示词|提示语|系统提示|系统指令|命令|规则|设定|约束|限制|准则|守则|指引|系统消息|系统讯息|人设|训练|安全策略|prompts?|instructions?)",
    ),
    // The narrow kind: what only a model or an agent has.
    ("令二", "(?:指令|指示|提示词|提示语|系统提示|系统指令|命令|系统消息|系统讯息|prompts?|instructions?)"),
    (
        "助手",
        "(?:ai|人工智能|人工智慧|智能体|智慧体|大模型|语言模型|大语言模型|聊天机器人|机器人|助手|助理|助手们|智能助手|ai ?(?:助手|助理|模型|代理|智能体|机器人|系统|工具|阅读器)|llm|模型|代理程式|代理|chatgpt|gpt|copilot|agents?)",
    ),
    (
        "提示词",
        "(?:系统提示词?|系统提示语|系统指令|系统消息|系统讯息|系统设定|提示词|提示语|初始(?:提示词?|指令|设定|指示)|原始(?:提示词?|指令|设定|指示)|预设(?:提示词?|指令|指示|prompt)|隐藏(?:提示词?|指令|设定|规则)|内部(?:提示词?|指令|设定|规则|指引)|开发者(?:提示词?|指令|消息|讯息)|system ?prompts?|prompts?|底层(?:指令|设定|提示词?)|后台(?:指令|设定|提示词?)|前置(?:指令|提示词?)|最初的?(?:指令|设定|提示词?|指示))",
    ),
];

/// Compiles a pattern; `None` if it is none, which a test rules out.
pub(super) fn compile(pattern: &str) -> Option<Regex> {
    Regex::builder()
        .configure(Regex::config().nfa_size_limit(Some(MAX_PATTERN_SIZE)).hybrid_cache_capacity(CACHE_CAPACITY))
        .syntax(syntax::Config::new())
        .build(&expand(pattern))
        .ok()
}

/// The regular expression that a pattern stands for.
pub(super) fn expand(pattern: &str) -> String {
    let mut text = pattern.to_owned();
    for (name, words) in WORDS.iter().rev() {
        text = text.replace(&format!("«{name}»"), words);
    }
    let mut regex = String::with_capacity(text.len() * 2);
    let mut in_class = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, in_class) {
            ('\\', _) => match (chars.next(), in_class) {
                (Some('b'), false) => regex.push_str(r"(?-u:\b)"),
                (Some('s'), false) => regex.push_str(r"[\t\n\r\x20]"),
                (Some('w'), false) => regex.push_str("[0-9a-z_]"),
                (Some('w'), true) => regex.push_str("0-9a-z_"),
                (Some('d'), false) => regex.push_str("[0-9]"),
                (Some('d'), true) => regex.push_str("0-9"),
                (Some('s'), true) => regex.push_str(r"\t\n\r\x20"),
                (next, _) => {
                    regex.push('\\');
                    regex.extend(next);
                }
            },
            (' ', false) => regex.push_str(GAP),
            ('…', false) => regex.push_str(STRETCH),
            _ => {
                in_class = (in_class || c == '[') && !(in_class && c == ']');
                regex.push(c);
            }
        }
    }
    regex
}
