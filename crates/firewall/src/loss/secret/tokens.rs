//! Tokens that providers mark with a prefix of their own: one row each.

use super::quality;
use crate::loss::{Found, Page};

/// Of what the rest of a token consists.
#[derive(Clone, Copy)]
pub(super) enum Letters {
    /// Hexadecimal digits.
    Hex,
    /// Capitals and digits.
    Upper,
    /// Letters and digits.
    Alnum,
    /// Those, `_` and `-`.
    Word,
    /// Those and `.`, `=`.
    Dotted,
    /// Letters and digits, `+`, `/`, `=`.
    Base64,
    /// What stands in a path or a query.
    Path,
}

impl Letters {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Word => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'='),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Path => {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'_' | b'-' | b'.' | b'=' | b'/' | b'%' | b'+' | b'$' | b'@' | b'~')
            }
        }
    }
}

/// A kind of token.
pub(super) struct Token {
    pub kind: &'static str,
    pub prefix: &'static str,
    letters: Letters,
    /// How many letters follow the prefix, at least and at most.
    least: usize,
    most: usize,
}

macro_rules! tokens {
    ($($kind:literal $letters:ident $least:literal $most:literal: $($prefix:literal)+;)+) => {
        &[$($(Token { kind: $kind, prefix: $prefix, letters: Letters::$letters, least: $least, most: $most }),+),+]
    };
}

pub(super) const TOKENS: &[Token] = tokens! {
    "aws-access-key" Upper 16 16: "AKIA" "ASIA" "ABIA" "ACCA";
    "aws-bedrock-key" Base64 100 300: "ABSK";
    "google-api-key" Word 35 35: "AIza";
    "google-oauth-token" Word 20 400: "ya29.";
    "google-oauth-token" Word 30 120: "1//0";
    "google-client-secret" Word 24 32: "GOCSPX-";
    "azure-key" Base64 84 92: "AccountKey=";
    "azure-key" Base64 40 92: "SharedAccessKey=";
    "github-token" Alnum 30 255: "ghp_" "gho_" "ghu_" "ghs_" "ghr_";
    "github-token" Word 36 255: "github_pat_";
    "gitlab-token" Dotted 20 300: "glpat-" "glptt-" "gldt-" "glrt-" "glsoat-" "glimt-" "glft-" "glffct-" "glagent-" "gloas-" "glcbt-" "GR1348941";
    "slack-token" Word 30 300: "xoxb-" "xoxp-" "xoxa-" "xoxo-" "xoxr-" "xoxs-" "xoxe-" "xoxe.xoxp-" "xoxe.xoxb-" "xoxd-" "xoxc-" "xapp-";
    "slack-webhook" Path 40 120: "hooks.slack.com/services/" "hooks.slack.com/workflows/" "hooks.slack.com/triggers/";
    "stripe-key" Alnum 16 250: "sk_live_" "sk_test_" "rk_live_" "rk_test_";
    "stripe-webhook-secret" Base64 28 64: "whsec_";
    "openai-key" Word 36 200: "sk-proj-" "sk-svcacct-" "sk-admin-" "sess-";
    "anthropic-key" Word 20 200: "sk-ant-";
    "llm-api-key" Alnum 32 64: "sk-";
    "llm-api-key" Word 32 100: "sk-or-v1-" "sk-or-" "sk-lf-" "nvapi-" "tvly-" "lsv2_pt_" "lsv2_sk_" "pcsk_" "jina_";
    "llm-api-key" Alnum 32 100: "gsk_" "xai-" "pplx-" "r8_" "fw_" "csk-";
    "huggingface-token" Alnum 30 40: "hf_" "api_org_";
    "npm-token" Alnum 36 36: "npm_";
    "pypi-token" Word 50 490: "pypi-AgE";
    "docker-token" Word 20 64: "dckr_pat_" "dckr_oat_";
    "discord-webhook" Path 60 130: "discord.com/api/webhooks/" "discordapp.com/api/webhooks/";
    "discord-token" Word 60 100: "mfa.";
    "twilio-key" Hex 32 32: "SK";
    "sendgrid-key" Dotted 60 70: "SG.";
    "mailgun-key" Hex 32 32: "key-";
    "shopify-token" Hex 32 32: "shpat_" "shpca_" "shppa_" "shpss_" "shptka_";
    "square-token" Word 22 60: "sq0atp-" "sq0csp-" "sq0idp-";
    "square-token" Word 56 64: "EAAA";
    "facebook-token" Alnum 80 300: "EAAC" "EAAM" "EAAB" "EAAG";
    "paypal-token" Path 40 80: "access_token$production$" "access_token$sandbox$";
    "digitalocean-token" Hex 64 64: "dop_v1_" "doo_v1_" "dor_v1_";
    "cloudflare-token" Word 100 200: "v1.0-";
    "heroku-key" Word 36 70: "HRKU-";
    "databricks-token" Word 32 34: "dapi";
    "grafana-token" Base64 32 400: "glc_" "eyJrIjoi";
    "grafana-token" Word 41 41: "glsa_";
    "newrelic-key" Word 19 40: "NRAK-" "NRJS-" "NRII-" "NRRA-" "NRIQ-" "NRSP-";
    "atlassian-token" Dotted 100 260: "ATATT3" "ATCTT3";
    "atlassian-token" Dotted 28 40: "ATBB";
    "linear-key" Alnum 40 64: "lin_api_" "lin_oauth_";
    "notion-token" Alnum 40 60: "ntn_" "secret_";
    "figma-token" Word 38 64: "figd_" "figo_" "figu_";
    "vault-token" Word 24 200: "hvs." "hvb." "hvr.";
    "terraform-token" Word 55 80: ".atlasv1.";
    "age-secret-key" Upper 58 58: "AGE-SECRET-KEY-1";
    "alibaba-access-key" Alnum 12 26: "LTAI";
    "tencent-secret-id" Alnum 30 38: "AKID";
    "baidu-key" Path 40 120: "bce-v3/ALTAK-";
    "baidu-key" Alnum 21 21: "ALTAK";
    "volcengine-key" Alnum 30 60: "AKLT";
    "dingtalk-secret" Hex 64 64: "SEC";
    "dingtalk-secret" Hex 64 64: "oapi.dingtalk.com/robot/send?access_token=";
    "wechat-secret" Word 36 36: "qyapi.weixin.qq.com/cgi-bin/webhook/send?key=";
    "feishu-secret" Word 30 60: "open.feishu.cn/open-apis/bot/v2/hook/" "open.larksuite.com/open-apis/bot/v2/hook/";
    "teams-webhook" Path 80 300: ".webhook.office.com/webhookb2/";
    "telegram-token" Word 33 33: ":AA";
    "firebase-token" Word 100 200: ":APA91b";
    "planetscale-token" Dotted 32 64: "pscale_tkn_" "pscale_pw_" "pscale_oauth_";
    "postman-key" Word 59 59: "PMAK-";
    "pulumi-token" Hex 40 40: "pul-";
    "rubygems-token" Hex 48 48: "rubygems_";
    "doppler-token" Dotted 40 60: "dp.pt." "dp.st." "dp.ct." "dp.sa.";
    "dynatrace-token" Dotted 80 100: "dt0c01.";
    "sentry-token" Base64 50 300: "sntrys_";
    "sentry-token" Alnum 50 70: "sntryu_";
    "supabase-key" Hex 40 40: "sbp_";
    "supabase-key" Word 30 50: "sb_secret_";
    "flyio-token" Base64 60 480: "fm2_" "fm1a_" "fm1r_";
    "netlify-token" Alnum 36 44: "nfp_";
    "openshift-token" Word 43 43: "sha256~";
    "buildkite-token" Hex 40 40: "bkua_";
    "circleci-token" Word 40 80: "CCIPAT_";
    "onepassword-key" Word 26 40: "A3-";
    "onepassword-key" Base64 240 500: "ops_eyJ";
    "mapbox-token" Dotted 60 120: "sk.eyJ";
    "artifactory-key" Alnum 69 69: "AKCp";
};

/// Looks at a place at which the prefix of a token stands in some case.
pub(super) fn at(page: &Page<'_>, token: &Token, start: usize, found: &mut Vec<Found>) {
    let bytes = page.bytes;
    let end = start + token.prefix.len();
    if bytes.get(start..end) != Some(token.prefix.as_bytes()) || !super::is_free(bytes, start, token.prefix.as_bytes())
    {
        return;
    }
    let Some(rest) = bytes.get(end..) else { return };
    let mut length = rest.iter().take(token.most + 1).take_while(|byte| token.letters.has(**byte)).count();
    // A full stop that ends a sentence is no part of it.
    while length > 0 && length <= token.most && rest.get(length - 1) == Some(&b'.') {
        length -= 1;
    }
    let Some(body) = rest.get(..length) else { return };
    if !(token.least..=token.most).contains(&length) || !quality::is_random(body) {
        return;
    }
    let start = match token.prefix {
        // What identifies it stands before the mark.
        ":AA" => match back(bytes, start, |byte| byte.is_ascii_digit(), 8..=10) {
            Some(first) => first,
            None => return,
        },
        ".atlasv1." => match back(bytes, start, |byte| byte.is_ascii_alphanumeric(), 14..=14) {
            Some(first) => first,
            None => return,
        },
        "sess-" | "SK" | "SEC" if !body.iter().all(u8::is_ascii_alphanumeric) => return,
        _ => start,
    };
    found.push(Found { kind: token.kind, start, end: end + length, rank: 100 });
}

/// Where a run that ends at a place begins, if it is as long as that.
pub(super) fn back(
    bytes: &[u8],
    end: usize,
    is: impl Fn(u8) -> bool,
    lengths: std::ops::RangeInclusive<usize>,
) -> Option<usize> {
    let length = bytes.get(..end)?.iter().rev().take(lengths.end() + 1).take_while(|byte| is(**byte)).count();
    lengths.contains(&length).then_some(end - length)
}
