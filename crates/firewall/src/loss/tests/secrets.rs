//! Secrets: made ones of every provider, in pieces so that nothing here looks like a leak, and what is like them and is none.

use super::made::{ALNUM, CAPITALS, DIGITS, Dice, HEX};
use super::{found, holds};

const WORD: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A kind, the two halves of a prefix, the letters behind it and how many.
const TOKENS: &[(&str, &str, &str, &str, usize)] = &[
    ("aws-access-key", "AK", "IA", UPPER, 16),
    ("aws-access-key", "AS", "IA", UPPER, 16),
    ("aws-bedrock-key", "AB", "SK", ALNUM, 128),
    ("google-api-key", "AI", "za", WORD, 35),
    ("google-oauth-token", "ya", "29.", WORD, 120),
    ("google-client-secret", "GOC", "SPX-", WORD, 28),
    ("github-token", "gh", "p_", ALNUM, 36),
    ("github-token", "gh", "o_", ALNUM, 36),
    ("github-token", "gh", "s_", ALNUM, 36),
    ("github-token", "github", "_pat_", ALNUM, 82),
    ("gitlab-token", "gl", "pat-", ALNUM, 20),
    ("gitlab-token", "gl", "rt-", ALNUM, 20),
    ("slack-token", "xo", "xb-1234567890-1234567890-", ALNUM, 24),
    ("slack-token", "xo", "xp-1234567890-1234567890-", ALNUM, 32),
    ("slack-webhook", "https://hooks.sl", "ack.com/services/T0AB12CD3/B0AB12CD3/", ALNUM, 24),
    ("stripe-key", "sk_", "live_", ALNUM, 24),
    ("stripe-key", "rk_", "test_", ALNUM, 24),
    ("stripe-webhook-secret", "wh", "sec_", ALNUM, 32),
    ("openai-key", "sk-", "proj-", ALNUM, 120),
    ("openai-key", "sk-", "svcacct-", ALNUM, 120),
    ("anthropic-key", "sk-", "ant-api03-", ALNUM, 95),
    ("llm-api-key", "s", "k-", HEX, 32),
    ("llm-api-key", "s", "k-", ALNUM, 48),
    ("llm-api-key", "gs", "k_", ALNUM, 52),
    ("huggingface-token", "h", "f_", ALNUM, 34),
    ("npm-token", "np", "m_", ALNUM, 36),
    ("pypi-token", "py", "pi-AgEIcHlwaS5vcmc", ALNUM, 120),
    ("docker-token", "dckr", "_pat_", WORD, 27),
    ("discord-webhook", "https://discord.com/api/", "webhooks/123456789012345678/", ALNUM, 68),
    ("twilio-key", "S", "K", HEX, 32),
    ("sendgrid-key", "S", "G.", ALNUM, 66),
    ("mailgun-key", "ke", "y-", HEX, 32),
    ("shopify-token", "shp", "at_", HEX, 32),
    ("square-token", "sq0", "csp-", ALNUM, 43),
    ("facebook-token", "EA", "AC", ALNUM, 120),
    ("paypal-token", "access_token$", "production$", ALNUM, 49),
    ("digitalocean-token", "dop", "_v1_", HEX, 64),
    ("cloudflare-token", "v1", ".0-", HEX, 170),
    ("heroku-key", "HR", "KU-", ALNUM, 60),
    ("databricks-token", "da", "pi", HEX, 32),
    ("grafana-token", "gl", "c_", ALNUM, 60),
    ("newrelic-key", "NR", "AK-", UPPER, 27),
    ("atlassian-token", "ATA", "TT3xFfGF0", ALNUM, 180),
    ("linear-key", "lin", "_api_", ALNUM, 40),
    ("notion-token", "nt", "n_", ALNUM, 46),
    ("figma-token", "fi", "gd_", WORD, 40),
    ("vault-token", "hv", "s.", ALNUM, 90),
    ("age-secret-key", "AGE-SECRET", "-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    ("alibaba-access-key", "LT", "AI5t", ALNUM, 18),
    ("tencent-secret-id", "AK", "ID", ALNUM, 32),
    ("baidu-key", "AL", "TAK", ALNUM, 21),
    ("volcengine-key", "AK", "LT", ALNUM, 44),
    ("dingtalk-secret", "S", "EC", HEX, 64),
    ("dingtalk-secret", "https://oapi.dingtalk.com/robot/", "send?access_token=", HEX, 64),
    ("wechat-secret", "https://qyapi.weixin.qq.com/cgi-bin/", "webhook/send?key=693a91f6-7aoc-4bc4-97a0-", HEX, 12),
    ("feishu-secret", "https://open.feishu.cn/open-apis/", "bot/v2/hook/", HEX, 36),
    ("teams-webhook", "https://acme.webhook.", "office.com/webhookb2/", ALNUM, 120),
    ("telegram-token", "110201543:", "AA", WORD, 33),
    ("firebase-token", "AAAAabcdefg:", "APA91b", ALNUM, 134),
    ("planetscale-token", "pscale", "_tkn_", ALNUM, 43),
    ("postman-key", "PM", "AK-", HEX, 59),
    ("pulumi-token", "pu", "l-", HEX, 40),
    ("rubygems-token", "ruby", "gems_", HEX, 48),
    ("doppler-token", "dp", ".pt.", ALNUM, 43),
    ("dynatrace-token", "dt0", "c01.", ALNUM, 89),
    ("sentry-token", "sntr", "yu_", HEX, 64),
    ("supabase-key", "sb", "p_", HEX, 40),
    ("flyio-token", "fm", "2_", ALNUM, 120),
    ("netlify-token", "nf", "p_", ALNUM, 36),
    ("openshift-token", "sha", "256~", ALNUM, 43),
    ("buildkite-token", "bk", "ua_", HEX, 40),
    ("circleci-token", "CCI", "PAT_", ALNUM, 44),
    ("onepassword-key", "ops", "_eyJ", ALNUM, 260),
    ("mapbox-token", "sk", ".eyJ", ALNUM, 80),
    ("artifactory-key", "AK", "Cp", ALNUM, 69),
    ("discord-token", "mf", "a.", ALNUM, 84),
    ("terraform-token", "abcDEF123ghi45", ".atlasv1.", ALNUM, 64),
];

const SENTENCES: [&str; 8] = [
    "{n}",
    "export TOKEN={n}",
    "use \"{n}\" for it.",
    "令牌是{n}，不要外传",
    "Authorization: Bearer {n}",
    "{\"k\":\"{n}\"}",
    "It is {n}.",
    "line\\n{n}\\nnext",
];

fn made(dice: &mut Dice, prefix: [&str; 2], alphabet: &str, length: usize) -> String {
    // The ends are letters, so that no sentence cuts them off; a digit is always there.
    let inner = dice.letters(alphabet, length - 3);
    let end = dice.letters(if alphabet == HEX { "abcdef" } else { CAPITALS }, 1);
    let digits = if alphabet == UPPER { "234567" } else { "23456789" };
    format!(
        "{}{}{}{}{inner}{end}",
        prefix[0],
        prefix[1],
        dice.letters(digits, 1),
        if alphabet == HEX { "d" } else { "Q" }
    )
}

#[test]
fn made_tokens_are_found_in_sentences() {
    let mut missed = Vec::new();
    let mut all = 0;
    for (seed, (kind, front, back, alphabet, length)) in TOKENS.iter().enumerate() {
        let mut dice = Dice::new(seed as u64 + 1);
        for sentence in SENTENCES {
            let token = made(&mut dice, [front, back], alphabet, *length);
            let text = sentence.replace("{n}", &token);
            all += 1;
            if !holds(&text, kind, &token) {
                missed.push(format!("{kind}: {text:?} gave {:?}", found(&text)));
            }
        }
    }
    println!("{} of {all} missed", missed.len());
    assert!(missed.len() * 100 <= all * 3, "{} of {all} missed:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn what_is_only_like_a_token_is_none() {
    for (seed, (kind, front, back, alphabet, length)) in TOKENS.iter().enumerate() {
        let mut dice = Dice::new(seed as u64 + 501);
        let token = made(&mut dice, [front, back], alphabet, *length);
        let prefix = front.len() + back.len();
        let short = &token[..prefix + 6];
        let blank = format!("{}{}", &token[..prefix], "x".repeat(*length));
        for text in [short.to_owned(), blank, format!("{front}{back}..."), format!("`{front}{back}<key>`")] {
            assert!(!found(&text).iter().any(|(found, _)| found == kind), "{kind} in {text:?}");
        }
    }
}

#[test]
fn the_documented_example_of_aws_counts() {
    let key = ["AKIA", "IOSFODNN7EXAMPLE"].concat();
    assert!(holds(&format!("aws_access_key_id = {key}"), "aws-access-key", &key));
    let secret = ["wJalrXUtnFEMI/K7MDENG/", "bPxRfiCYEXAMPLEKEY"].concat();
    assert!(holds(&format!("aws_secret_access_key = {secret}"), "aws-secret-key", &secret));
}

#[test]
fn keys_whose_provider_the_words_name_are_found() {
    let mut dice = Dice::new(77);
    for (kind, words, alphabet, length) in [
        ("aws-secret-key", "AWS_SECRET_ACCESS_KEY=", ALNUM, 40),
        ("aws-secret-key", "aws secret access key: ", ALNUM, 40),
        ("aws-secret-key", "{\"SecretAccessKey\": \"", ALNUM, 40),
        ("azure-key", "AZURE_CLIENT_SECRET=", ALNUM, 40),
        ("azure-key", "client_secret: ", ALNUM, 40),
        ("azure-key", "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=", ALNUM, 86),
        ("azure-key", "SharedAccessKeyName=Root;SharedAccessKey=", ALNUM, 43),
        ("datadog-key", "DD_API_KEY=", HEX, 32),
        ("datadog-key", "datadog app_key: ", HEX, 40),
        ("datadog-key", "Datadog API key is ", HEX, 32),
        ("cloudflare-token", "CLOUDFLARE_API_TOKEN=", ALNUM, 40),
        ("alibaba-secret-key", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=", ALNUM, 30),
        ("alibaba-secret-key", "阿里云密钥：", ALNUM, 30),
        ("alibaba-secret-key", "accessKeySecret: '", ALNUM, 30),
        ("tencent-secret-key", "TENCENTCLOUD_SECRET_KEY=", ALNUM, 32),
        ("tencent-secret-key", "腾讯云密钥是", ALNUM, 32),
        ("tencent-secret-key", "qcloud secret_key = ", ALNUM, 32),
        ("wechat-secret", "微信 AppSecret: ", HEX, 32),
        ("wechat-secret", "wx_app_secret=", HEX, 32),
        ("feishu-secret", "飞书 app_secret: ", ALNUM, 32),
        ("baidu-key", "百度 SECRET_KEY=", ALNUM, 32),
        ("twilio-key", "TWILIO_AUTH_TOKEN=", HEX, 32),
        ("kubernetes-token", "client-key-data: ", ALNUM, 200),
        ("kubernetes-token", "kubeconfig token: ", ALNUM, 100),
        ("kubernetes-token", "k8s token=", ALNUM, 100),
        ("discord-token", "DISCORD_TOKEN=", ALNUM, 70),
        ("dingtalk-secret", "钉钉 appSecret: ", ALNUM, 64),
        ("api-key", "API_KEY=", ALNUM, 32),
        ("api-key", "\"access_token\": \"", ALNUM, 40),
        ("api-key", "the secret token is ", ALNUM, 32),
        ("api-key", "令牌：", ALNUM, 32),
        ("api-key", "Authorization: Bearer ", ALNUM, 40),
        ("session-id", "Cookie: sessionid=", ALNUM, 32),
        ("session-id", "Set-Cookie: PHPSESSID=", ALNUM, 26),
        ("session-id", "JSESSIONID=", ALNUM, 32),
    ] {
        for _ in 0..4 {
            let key = format!("{}7Qa", dice.letters(alphabet, length - 3))
                .replace("Qa", if alphabet == HEX { "ab" } else { "Qa" });
            let text = format!("{words}{key}");
            assert!(holds(&text, kind, &key), "{kind} in {text}: {:?}", found(&text));
        }
    }
    let heroku = "HEROKU_API_KEY=12ab34cd-56ef-7890-ab12-cd34ef567890";
    assert!(found(heroku).iter().any(|(kind, _)| kind == "heroku-key"), "{:?}", found(heroku));
    for text in ["?sv=2022-11-02&sp=r&sig=", "https://acme.blob.core.windows.net/c?se=2030-01-01&sig=", "a;sig="] {
        let text = format!("{text}{}%3D", dice.letters(ALNUM, 43));
        assert!(found(&text).iter().any(|(kind, _)| kind == "azure-key"), "{text}");
    }
    let text = format!("Xy1{}Q~{}", dice.letters(DIGITS, 1), dice.letters(ALNUM, 34));
    assert!(found(&text).iter().any(|(kind, _)| kind == "azure-key"), "{text}");
}

#[test]
fn passwords_are_found_behind_the_words_that_announce_them() {
    for (text, value) in [
        ("my password is hunter2!x", "hunter2!x"),
        ("The password for the router is Tr0ub4dor&3.", "Tr0ub4dor&3"),
        ("password: S3cretPass", "S3cretPass"),
        ("DB_PASSWORD=kx92!dmQ", "kx92!dmQ"),
        ("{\"password\": \"a1b2c3d4\"}", "a1b2c3d4"),
        ("密码是Abc12345", "Abc12345"),
        ("密碼：Qwe!9876，請保密", "Qwe!9876"),
        ("他的登录密码为 zhang1988", "zhang1988"),
        ("数据库口令: Root@2024", "Root@2024"),
        ("我的密码是123456", "123456"),
        ("mysql --password s3cr3t-pw", "s3cr3t-pw"),
        ("pwd = 'p4ss-w0rd'", "p4ss-w0rd"),
        ("passphrase: Correct7Horse", "Correct7Horse"),
        ("set the password to N3wPass!", "N3wPass!"),
        ("**Password:** `Xk8#mP2q`", "Xk8#mP2q"),
    ] {
        assert!(holds(text, "password", value), "{text}: {:?}", found(text));
    }
    for text in [
        "password is required",
        "Enter your password: ",
        "password = os.environ['DB_PASSWORD']",
        "password: ${DB_PASSWORD}",
        "PASSWORD=<your-password>",
        "password=\"changeme\"",
        "密码是必填项",
        "密码不能为空，长度8-16位",
        "the password must be 8 characters",
        "password hash: sha256",
        "if password == user.password1:",
        "token_count: 4096",
        "secret_name: my-app-secret",
        "api_key = get_key_v2(name)",
        "the token is 0123456789",
        "api_key: YOUR_API_KEY_1234567890",
        "password: string",
        "pwd=$(pwd)",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn addresses_with_passwords_are_found() {
    for (kind, text) in [
        ("database-url", "postgres://admin:s3cr3t@db.internal:5432/app"),
        ("database-url", "DATABASE_URL=mysql://root:Pa55word@10.0.0.5/shop"),
        ("database-url", "数据库：mongodb+srv://svc:q1w2e3@cluster0.ab1cd.mongodb.net/x，谢谢"),
        ("database-url", "redis://:p4ssw0rdX@cache:6379/0"),
        ("url-credentials", "https://bob:hunter22@example.org/path"),
        ("url-credentials", "git clone https://ci:9f8e7d6c5b@git.example.org/r.git"),
        ("url-credentials", "地址是ftp://u:p%40ss1@files.example.org，"),
        ("basic-auth", "Authorization: Basic dXNlcjpodW50ZXIy"),
        ("basic-auth", "curl -H 'authorization: basic YWRtaW46czNjcjN0'"),
        ("basic-auth", "{\"auths\":{\"r.example\":{\"auth\":\"YWRtaW46czNjcjN0\"}}}"),
        ("email", "write to Jane.Doe+x@mail.example.co.uk."),
        ("email", "邮箱：zhang.san@163.com，谢谢"),
        ("email", "<a href=\"mailto:bob@example.com\">"),
    ] {
        assert!(found(text).iter().any(|(found, _)| found == kind), "{kind} in {text}: {:?}", found(text));
    }
    for text in [
        "postgres://user:password@localhost/db",
        "postgres://user:${PASS}@localhost/db",
        "https://example.org/a:b@c",
        "https://example.org:8080/x",
        "redis://localhost:6379",
        "Basic usage of the thing",
        "icon@2x.png and @scope/pkg@1.2.3",
        "git@github.com:acme/app.git",
        "@user and user@ and a@b",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn blocks_of_keys_are_found_whole_and_unfinished() {
    let mut dice = Dice::new(5);
    let body = (0..8).map(|_| dice.letters(ALNUM, 64)).collect::<Vec<_>>().join("\n");
    for label in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ] {
        let (front, end) = (["-----BEG", "IN ", label, "-----"].concat(), ["-----E", "ND ", label, "-----"].concat());
        let whole = format!("{front}\n{body}\n{end}");
        assert_eq!(found(&format!("key:\n{whole}\nbye")), [("private-key".to_owned(), whole.clone())], "{label}");
        let line = whole.replace('\n', "\\n");
        assert_eq!(found(&format!("{{\"k\":\"{line}\"}}")), [("private-key".to_owned(), line)], "{label}");
        let unfinished = format!("{front}\n{}", &body[..100]);
        assert_eq!(found(&unfinished), [("private-key".to_owned(), unfinished.clone())], "{label}");
        for none in [
            format!("{front}\nanything\n{end}"),
            format!("{front}{end}"),
            format!("{front} your key here {end}"),
            whole.replace("PRIVATE", "PUBLIC"),
        ] {
            assert!(!found(&none).iter().any(|(kind, _)| kind == "private-key"), "{none}");
        }
    }
    let putty = format!("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 8\n{body}\nPrivate-MAC: ab");
    assert!(found(&putty).iter().any(|(kind, _)| kind == "private-key"));
}

#[test]
fn signed_tokens_are_found_by_what_they_say() {
    // {"alg":"HS256"} and {"typ":"JWT","alg":"RS256"}
    for header in ["eyJhbGciOiJIUzI1NiJ9", "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"] {
        let token = format!("{header}.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U");
        for text in
            [token.clone(), format!("token={token}&x=1"), format!("登录令牌：{token}。"), format!("Bearer {token}.")]
        {
            assert_eq!(found(&text), [("jwt".to_owned(), token.clone())], "{text}");
        }
    }
    for none in [
        "eyJmb28iOiJiYXIifQ.eyJzdWIiOiIxIn0.abcdefgh",
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9.",
        "eyJ.eyJ.eyJ",
        "xeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    ] {
        assert!(!found(none).iter().any(|(kind, _)| kind == "jwt"), "{none}");
    }
}
