//! Whose key it is, where only the words before it say so.

use crate::loss::Page;

/// Bytes before a value in which its provider may be named.
const BEFORE: usize = 64;

/// Words before a key, in lower case, and how long the keys of the provider are.
const PROVIDERS: &[(&str, &[&str], std::ops::RangeInclusive<usize>)] = &[
    ("aws-secret-key", &["aws", "amazon", "secret_access_key", "secretaccesskey", "secret access key"], 40..=40),
    ("azure-key", &["azure", "accountkey", "sharedaccesskey", "client_secret", "clientsecret"], 32..=92),
    ("twilio-key", &["twilio"], 32..=32),
    ("datadog-key", &["datadog", "dd_api", "dd_app", "dd-api"], 32..=40),
    ("cloudflare-token", &["cloudflare", "cf_api"], 37..=53),
    ("heroku-key", &["heroku"], 36..=36),
    ("discord-token", &["discord"], 50..=90),
    (
        "alibaba-secret-key",
        &["aliyun", "alibaba", "阿里云", "阿里雲", "oss_access", "accesskeysecret", "access_key_secret"],
        30..=30,
    ),
    ("tencent-secret-key", &["tencent", "腾讯", "騰訊", "qcloud", "cos_secret"], 32..=32),
    ("feishu-secret", &["feishu", "飞书", "飛書", "lark"], 32..=64),
    ("dingtalk-secret", &["dingtalk", "钉钉", "釘釘"], 32..=90),
    ("baidu-key", &["baidu", "百度", "qianfan", "千帆", "文心"], 24..=64),
    ("kubernetes-token", &["client-key-data", "kubeconfig", "kubernetes", "k8s"], 16..=400),
    ("wechat-secret", &["wechat", "weixin", "微信", "wx_", "企业微信", "appsecret"], 32..=64),
];

/// The kind of a key that stands at a place.
pub(super) fn of(page: &Page<'_>, start: usize, value: &[u8]) -> &'static str {
    let Some(before) = page.bytes.get(start.saturating_sub(BEFORE)..start) else { return "api-key" };
    let before = before.to_ascii_lowercase();
    let named = |words: &[&str]| words.iter().any(|word| memchr::memmem::find(&before, word.as_bytes()).is_some());
    PROVIDERS
        .iter()
        .find(|(_, words, lengths)| lengths.contains(&value.len()) && named(words))
        .map_or("api-key", |(kind, _, _)| kind)
}
