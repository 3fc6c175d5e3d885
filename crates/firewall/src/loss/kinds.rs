//! Every kind of data that is found, by group: what it is and what it takes to be found.

use super::settings::Group;

/// A kind of data that must not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name: stable, in kebab case.
    pub id: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// To which group it belongs.
    pub group: Group,
    /// What it takes to be found, for people.
    pub needs: &'static str,
    /// Whether it is looked for only where a configuration names the kind or acts on its group.
    pub quiet: bool,
}

macro_rules! kinds {
    ($($group:ident $quiet:literal { $($id:literal $title:literal $needs:literal;)+ })+) => {
        &[$($(Kind { id: $id, title: $title, group: Group::$group, needs: $needs, quiet: $quiet }),+),+]
    };
}

/// All of them.
pub(super) const KINDS: &[Kind] = kinds! {
    Payment false {
        "card" "payment card number" "an issuer's range, its length, Luhn; other lengths and what hangs together with more also need words such as `card`";
        "cn-bank-card" "Chinese bank card number" "62 or a range of a Chinese bank, 16 to 19 digits, Luhn";
        "card-code" "code on the back of a card" "a word such as `CVV` or `安全码` before 3 or 4 digits";
        "iban" "international bank account number" "a country, its length, MOD 97-10";
        "us-routing" "routing number of a bank of the United States" "its range, its check digit and a word such as `routing`";
        "bitcoin-address" "address of a Bitcoin or Litecoin wallet" "the checksum of bech32 or base58";
        "ethereum-address" "address of an Ethereum wallet" "40 hexadecimal digits behind `0x` and a word such as `wallet`";
        "tron-address" "address of a Tron wallet" "the checksum of base58";
    }
    Identity false {
        "cn-resident-id" "Chinese resident identity number (居民身份证)" "the province, the day of birth, the check character (GB 11643); 15 digits also need words";
        "uscc" "unified social credit code of a Chinese organisation (统一社会信用代码)" "its form and the check character (GB 32100)";
        "cn-passport" "Chinese passport number (护照)" "its form and a word such as `护照` or `passport`";
        "cn-travel-permit" "permit to travel to or from Hong Kong, Macau, Taiwan (通行证)" "its form and a word such as `通行证`";
        "tw-id" "identity number of Taiwan (國民身分證)" "its form and the check digit";
        "tw-residence-permit" "residence permit of Taiwan (居留證)" "its form and the check digit";
        "hk-id" "identity card number of Hong Kong" "the check character in brackets, or without them and a word such as `HKID`";
        "macau-id" "identity card number of Macau" "its form and a word such as `Macau` or `澳門`";
        "jp-my-number" "Japanese individual number (マイナンバー)" "the check digit and a word such as `マイナンバー`";
        "kr-rrn" "Korean resident registration number (주민등록번호)" "the day of birth and the check digit, or a word such as `주민등록번호`";
        "us-ssn" "social security number of the United States" "a number that may be given, with hyphens, or a word such as `SSN`";
        "us-itin" "individual taxpayer number of the United States" "a number that may be given, with hyphens, or a word such as `ITIN`";
        "uk-nino" "British national insurance number" "letters that may be given";
        "uk-nhs" "number of the British health service" "the check digit and a word such as `NHS`";
        "in-aadhaar" "Indian Aadhaar number" "the check digit (Verhoeff), and groups of four or a word such as `Aadhaar`";
        "in-pan" "Indian permanent account number" "its form with the letter of the holder";
        "sg-nric" "identity number of Singapore" "the check letter";
        "au-tfn" "Australian tax file number" "the check sum and a word such as `TFN`";
        "au-medicare" "Australian Medicare number" "the check digit and the word `Medicare`";
        "ca-sin" "Canadian social insurance number" "Luhn and a word such as `SIN`";
        "br-cpf" "Brazilian tax number of a person" "two check digits, and its separators or the word `CPF`";
        "br-cnpj" "Brazilian tax number of an organisation" "two check digits, and its separators or the word `CNPJ`";
        "de-tax-id" "German tax identification number" "the check digit and a word such as `Steuer-ID`";
        "fr-nir" "French social security number" "sex, month of birth and the key";
        "es-dni" "Spanish identity number" "the check letter";
        "es-nie" "Spanish identity number of a foreigner" "the check letter";
        "it-codice-fiscale" "Italian tax code" "its form and the check letter";
        "pl-pesel" "Polish PESEL number" "the day of birth, the check digit and the word `PESEL`";
        "nl-bsn" "Dutch citizen service number" "the check sum and a word such as `BSN`";
        "th-id" "Thai identity number" "the check digit, and its groups or words";
        "my-nric" "Malaysian identity number (MyKad)" "the day of birth, the place, and its groups or words";
        "id-nik" "Indonesian identity number" "the place, the day of birth and a word such as `NIK`";
        "za-id" "South African identity number" "the day of birth, Luhn and words";
        "tr-id" "Turkish identity number" "two check digits and a word such as `TCKN`";
        "fi-hetu" "Finnish personal identity code" "the day of birth and the check character";
        "se-personnummer" "Swedish personal number" "the day of birth, Luhn and a word such as `personnummer`";
        "dk-cpr" "Danish personal number" "the day of birth and a word such as `CPR`";
        "no-fnr" "Norwegian national identity number" "two check digits and a word such as `fødselsnummer`";
        "ch-ahv" "Swiss insurance number" "756 and the check digit";
        "be-rrn" "Belgian national register number" "its separators, the day of birth and the key";
        "ie-pps" "Irish personal public service number" "the check letter and a word such as `PPS`";
        "pt-nif" "Portuguese tax number" "the check digit and a word such as `NIF`";
        "il-id" "Israeli identity number" "Luhn and words";
        "ro-cnp" "Romanian personal code" "the day of birth, the check digit and the word `CNP`";
        "cz-rodne-cislo" "Czech or Slovak birth number" "the day of birth, a multiple of 11 and words";
        "cl-rut" "Chilean tax number" "the check character, and its separators or the word `RUT`";
        "mx-curp" "Mexican population code" "its form and the check digit";
        "vn-id" "Vietnamese identity number" "the province and a word such as `CCCD`";
        "passport" "passport number" "its form and a word such as `passport` or `护照`";
        "driver-license" "number of a driving licence" "its form and words such as `driver's license` or `驾驶证`";
    }
    Contact false {
        "email" "address of mail" "a name, `@`, a host with an ending of letters";
        "cn-mobile" "Chinese mobile number" "11 digits whose first three are given to a network";
        "tw-mobile" "mobile number of Taiwan" "09 and 8 digits, or +886 9";
        "phone" "telephone number" "the code of a country behind `+`, a national form, or a word such as `phone` or `电话`";
    }
    Secret false {
        "private-key" "private key (PEM, OpenSSH, PGP, PuTTY)" "its beginning and base64 behind it, also unfinished or with `\\n`";
        "jwt" "signed or encrypted token (JWT)" "a first part that decodes to an object with `alg`";
        "password" "password" "words such as `password is` or `密码是`, then letters with digits or signs";
        "pin" "personal identification number" "the word `PIN` before 4 to 8 digits";
        "one-time-code" "code that was sent to a person" "words such as `verification code` or `验证码` before 4 to 8 digits";
        "api-key" "key or token of an unknown provider" "words such as `api_key=` or `令牌`, then letters and digits in disorder";
        "session-id" "identifier of a session" "words such as `session=`, then letters and digits in disorder";
        "basic-auth" "name and password of basic authentication" "`Basic`, then base64 with a colon inside";
        "database-url" "address of a database with a password" "a scheme of a database, `name:password@host`";
        "url-credentials" "address with a password" "`scheme://name:password@host`";
        "aws-access-key" "access key of AWS" "AKIA, ASIA, ABIA or ACCA and 16 characters; examples of the documentation too";
        "aws-secret-key" "secret key of AWS" "40 characters in disorder behind words such as `aws_secret_access_key`";
        "aws-bedrock-key" "key of Amazon Bedrock" "its prefix and length";
        "google-api-key" "key of Google" "`AIza` and 35 characters";
        "google-oauth-token" "token of Google" "its prefix and length";
        "google-client-secret" "client secret of Google" "its prefix and length";
        "azure-key" "key or signature of Azure" "`AccountKey=`, `SharedAccessKey=`, `sig=`, the form of a client secret, or words";
        "github-token" "token of GitHub" "its prefix and length";
        "gitlab-token" "token of GitLab" "its prefix and length";
        "slack-token" "token of Slack" "its prefix and length";
        "slack-webhook" "webhook of Slack" "its host and path";
        "stripe-key" "secret key of Stripe" "its prefix and length";
        "stripe-webhook-secret" "webhook secret of Stripe" "its prefix and length";
        "openai-key" "key of OpenAI" "its prefix and length";
        "anthropic-key" "key of Anthropic" "its prefix and length";
        "llm-api-key" "key of another model provider" "`sk-` or another prefix, and its length";
        "huggingface-token" "token of Hugging Face" "its prefix and length";
        "npm-token" "token of npm" "its prefix and length";
        "pypi-token" "token of PyPI" "its prefix and length";
        "docker-token" "token of Docker Hub" "its prefix and length";
        "discord-webhook" "webhook of Discord" "its host and path";
        "discord-token" "token of Discord" "its prefix, or words";
        "twilio-key" "key of Twilio" "`SK` and 32 hexadecimal digits, or words";
        "sendgrid-key" "key of SendGrid" "its prefix and length";
        "mailgun-key" "key of Mailgun" "its prefix and length";
        "shopify-token" "token of Shopify" "its prefix and length";
        "square-token" "token of Square" "its prefix and length";
        "facebook-token" "token of Facebook" "its prefix and length";
        "paypal-token" "token of PayPal Braintree" "its prefix and length";
        "digitalocean-token" "token of DigitalOcean" "its prefix and length";
        "cloudflare-token" "token of Cloudflare" "its prefix, or words";
        "heroku-key" "key of Heroku" "its prefix, or words";
        "databricks-token" "token of Databricks" "its prefix and length";
        "grafana-token" "token of Grafana" "its prefix and length";
        "newrelic-key" "key of New Relic" "its prefix and length";
        "datadog-key" "key of Datadog" "words such as `DD_API_KEY`";
        "atlassian-token" "token of Atlassian or Bitbucket" "its prefix and length";
        "linear-key" "key of Linear" "its prefix and length";
        "notion-token" "token of Notion" "its prefix and length";
        "figma-token" "token of Figma" "its prefix and length";
        "vault-token" "token of HashiCorp Vault" "its prefix and length";
        "terraform-token" "token of HCP Terraform" "`.atlasv1.` within it";
        "age-secret-key" "secret key of age" "its prefix and length";
        "alibaba-access-key" "access key of Alibaba Cloud (阿里云)" "`LTAI` and its length";
        "alibaba-secret-key" "secret key of Alibaba Cloud (阿里云)" "30 characters in disorder behind words";
        "tencent-secret-id" "secret id of Tencent Cloud (腾讯云)" "`AKID` and its length";
        "tencent-secret-key" "secret key of Tencent Cloud (腾讯云)" "32 characters in disorder behind words";
        "baidu-key" "key of Baidu Cloud (百度)" "its prefix, or words";
        "volcengine-key" "access key of Volcano Engine (火山引擎)" "`AKLT` and its length";
        "dingtalk-secret" "secret or webhook of DingTalk (钉钉)" "its prefix, its host, or words";
        "wechat-secret" "secret or webhook of WeChat (微信)" "its host, or words";
        "feishu-secret" "secret or webhook of Feishu (飞书)" "its host, or words";
        "teams-webhook" "webhook of Microsoft Teams" "its host and path";
        "telegram-token" "token of a Telegram bot" "digits, `:AA` and 33 characters";
        "firebase-token" "token of Firebase" "`:APA91b` within it";
        "planetscale-token" "token of PlanetScale" "its prefix and length";
        "postman-key" "key of Postman" "its prefix and length";
        "pulumi-token" "token of Pulumi" "its prefix and length";
        "rubygems-token" "token of RubyGems" "its prefix and length";
        "doppler-token" "token of Doppler" "its prefix and length";
        "dynatrace-token" "token of Dynatrace" "its prefix and length";
        "sentry-token" "token of Sentry" "its prefix and length";
        "supabase-key" "secret key of Supabase" "its prefix and length";
        "flyio-token" "token of Fly.io" "its prefix and length";
        "netlify-token" "token of Netlify" "its prefix and length";
        "openshift-token" "token of OpenShift" "its prefix and length";
        "buildkite-token" "token of Buildkite" "its prefix and length";
        "circleci-token" "token of CircleCI" "its prefix and length";
        "onepassword-key" "key of 1Password" "its prefix and length";
        "mapbox-token" "secret token of Mapbox" "its prefix and length";
        "artifactory-key" "key of Artifactory" "its prefix and length";
        "kubernetes-token" "key or token of Kubernetes" "words such as `client-key-data`";
    }
    Network true {
        "ip-address" "address of a machine (IPv4, IPv6)" "its form";
        "mac-address" "address of a network card" "its form";
    }
};
