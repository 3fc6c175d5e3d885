//! What people say a firewall is to do, in their words.

use crate::firewall::{Prompts, Results, Settings};
use crate::loss::Group;
use crate::verdict::{Channel, Verdict};

use super::folded;

/// What a filter that is only a sentence asks for. Each is enforced; a sentence that means none of them is no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Intent {
    /// No sensitive data in outputs.
    NoSensitiveOutput,
    /// No keys, tokens or passwords in outputs.
    NoSecretsOutput,
    /// Nothing in outputs that belongs to a person or says who that is.
    NoPersonalDataOutput,
    /// No cards or accounts in outputs.
    NoPaymentDataOutput,
    /// No sensitive data in what users say.
    NoSensitiveInput,
    /// Sensitive data is taken out of what tools give, before a model reads it.
    RedactToolResults,
    /// Attacks on the model are stopped.
    NoPromptInjection,
}

/// What an intent switches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// This is done about these groups of data in these channels.
    Losses {
        /// Which data.
        groups: &'static [Group],
        /// Whose texts.
        channels: &'static [Channel],
        /// What is done.
        action: Verdict,
    },
    /// Prompts are refused and content is withheld where they are certainly attacks.
    Attacks,
}

const SENSITIVE: &[Group] = &[Group::Payment, Group::Identity, Group::Contact, Group::Secret];
const LEAVING: &[Channel] = &[Channel::Output, Channel::Agent];

impl Intent {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NoSensitiveOutput,
        Self::NoSecretsOutput,
        Self::NoPersonalDataOutput,
        Self::NoPaymentDataOutput,
        Self::NoSensitiveInput,
        Self::RedactToolResults,
        Self::NoPromptInjection,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSensitiveOutput => "no-sensitive-output",
            Self::NoSecretsOutput => "no-secrets-output",
            Self::NoPersonalDataOutput => "no-personal-data-output",
            Self::NoPaymentDataOutput => "no-payment-data-output",
            Self::NoSensitiveInput => "no-sensitive-input",
            Self::RedactToolResults => "redact-tool-results",
            Self::NoPromptInjection => "no-prompt-injection",
        }
    }

    /// The other ways to say it.
    pub const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::NoSensitiveOutput => &[
                "禁止敏感信息輸出",
                "禁止敏感信息输出",
                "禁止敏感資訊輸出",
                "禁止輸出敏感信息",
                "禁止输出敏感信息",
                "禁止輸出敏感資訊",
                "no sensitive information in output",
                "no sensitive data in output",
            ],
            Self::NoSecretsOutput => &[
                "禁止密鑰輸出",
                "禁止密钥输出",
                "禁止輸出密鑰",
                "禁止输出密钥",
                "禁止金鑰輸出",
                "禁止輸出金鑰",
                "no secrets in output",
                "no credentials in output",
            ],
            Self::NoPersonalDataOutput => &[
                "禁止個人信息輸出",
                "禁止个人信息输出",
                "禁止個人資料輸出",
                "禁止輸出個人資料",
                "禁止輸出個人信息",
                "禁止输出个人信息",
                "no personal data in output",
                "no personal information in output",
            ],
            Self::NoPaymentDataOutput => &[
                "禁止銀行卡號輸出",
                "禁止银行卡号输出",
                "禁止支付信息輸出",
                "禁止支付信息输出",
                "no payment data in output",
                "no card numbers in output",
            ],
            Self::NoSensitiveInput => &[
                "禁止敏感信息輸入",
                "禁止敏感信息输入",
                "禁止敏感資訊輸入",
                "禁止輸入敏感信息",
                "禁止输入敏感信息",
                "no sensitive information in input",
                "no sensitive data in input",
            ],
            Self::RedactToolResults => &[
                "工具結果脫敏",
                "工具结果脱敏",
                "遮蔽工具結果中的敏感資訊",
                "遮蔽工具结果中的敏感信息",
                "redact sensitive information in tool results",
                "no sensitive information in tool results",
            ],
            Self::NoPromptInjection => &[
                "禁止提示詞注入",
                "禁止提示词注入",
                "防止提示詞注入",
                "防止提示词注入",
                "禁止提示注入",
                "no prompt injection",
                "block prompt injection",
            ],
        }
    }

    /// The intent that a sentence means, whatever its case, width, script variants, spaces and punctuation.
    pub fn parse(text: &str) -> Option<Self> {
        let said = bare(text);
        Self::ALL.into_iter().find(|intent| intent.sentences().any(|sentence| bare(sentence) == said))
    }

    /// Its name and all other ways to say it.
    pub fn sentences(self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name()).chain(self.aliases().iter().copied())
    }

    /// What it switches on.
    pub const fn meaning(self) -> Meaning {
        let (groups, channels, action): (&[Group], &[Channel], Verdict) = match self {
            Self::NoSensitiveOutput => (SENSITIVE, LEAVING, Verdict::Redact),
            Self::NoSecretsOutput => (&[Group::Secret], LEAVING, Verdict::Redact),
            Self::NoPersonalDataOutput => {
                (&[Group::Payment, Group::Identity, Group::Contact], LEAVING, Verdict::Redact)
            }
            Self::NoPaymentDataOutput => (&[Group::Payment], LEAVING, Verdict::Redact),
            Self::NoSensitiveInput => (SENSITIVE, &[Channel::User], Verdict::Deny),
            Self::RedactToolResults => (SENSITIVE, &[Channel::Tool, Channel::Document], Verdict::Redact),
            Self::NoPromptInjection => return Meaning::Attacks,
        };
        Meaning::Losses { groups, channels, action }
    }

    /// Switches it on. What is stricter already stays so.
    pub fn apply(self, settings: &mut Settings) {
        match self.meaning() {
            Meaning::Losses { groups, channels, action } => {
                for channel in channels {
                    for group in groups {
                        let known = settings.loss.actions.entry((*channel, *group)).or_default();
                        *known = action.max(*known);
                    }
                }
            }
            Meaning::Attacks => (settings.prompts, settings.results) = (Prompts::Deny, Results::Quarantine),
        }
    }
}

/// The letters and digits of a text, as they are compared.
fn bare(text: &str) -> String {
    folded(text).chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_means_the_same_in_any_case_width_and_script() {
        for text in [
            "禁止敏感信息輸出",
            "禁止敏感信息输出",
            "  禁止敏感信息輸出。",
            "No Sensitive Information In Output",
            "NO-SENSITIVE-OUTPUT",
            "ｎｏ ｓｅｎｓｉｔｉｖｅ ｏｕｔｐｕｔ",
            "no_sensitive_output",
        ] {
            assert_eq!(Intent::parse(text), Some(Intent::NoSensitiveOutput), "{text}");
        }
    }

    #[test]
    fn what_says_something_else_means_nothing() {
        for text in ["", "允許敏感信息輸出", "sensitive output", "no-sensitive", "禁止", "be nice"] {
            assert_eq!(Intent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_sentence_means_one_intent() {
        for intent in Intent::ALL {
            for sentence in intent.sentences() {
                assert_eq!(Intent::parse(sentence), Some(intent), "{sentence}");
            }
        }
    }

    #[test]
    fn the_stricter_of_two_intents_counts() {
        let mut settings = Settings::default();
        settings.loss.actions.insert((Channel::Output, Group::Secret), Verdict::Deny);
        Intent::NoSensitiveOutput.apply(&mut settings);
        assert_eq!(settings.loss.actions[&(Channel::Output, Group::Secret)], Verdict::Deny);
        assert_eq!(settings.loss.actions[&(Channel::Output, Group::Payment)], Verdict::Redact);
        assert!(settings.loss.acts_on(Channel::Agent) && !settings.loss.acts_on(Channel::Tool));
    }
}
