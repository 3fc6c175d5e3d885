//! The words around a number which say what it is: English, Simplified and Traditional Chinese.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use unicode_normalization::UnicodeNormalization;

/// Bytes before a number within which a word counts.
pub(super) const BEFORE: usize = 64;
/// Bytes after a number within which a word counts.
pub(super) const AFTER: usize = 32;

/// Topics, one bit each.
pub(super) type Topics = u64;

macro_rules! topics {
    ($($name:ident = $bit:literal: $($word:literal)+;)+) => {
        $(pub(super) const $name: Topics = 1 << $bit;)+
        const WORDS: &[(Topics, &[&str])] = &[$(($name, &[$($word),+])),+];
    };
}

// ASCII words are in lower case and stand for themselves, also with an `s` behind; a space in them may be `_`, `-` or nothing.
topics! {
    CARD = 0: "card" "visa" "mastercard" "amex" "american express" "pan" "cc" "creditcard" "debit" "卡号" "卡號" "信用卡" "银行卡" "銀行卡" "借记卡" "储蓄卡" "金融卡";
    BANK = 1: "account" "acct" "bank account" "账号" "賬號" "帐号" "帳號" "账户" "帳戶" "賬戶" "户口号" "戶口號" "收款" "汇款" "匯款" "开户";
    IBAN = 2: "iban";
    BIC = 3: "bic" "swift" "swift code";
    WALLET = 4: "wallet" "bitcoin" "btc" "ethereum" "eth" "usdt" "trc20" "erc20" "tron" "crypto" "address" "deposit" "litecoin" "dogecoin" "钱包" "錢包" "比特币" "比特幣" "以太坊" "地址" "充值" "转账" "轉帳";
    CN_ID = 5: "身份证" "身份證" "身分证" "身分證" "证件号" "證件號" "公民身份" "id card" "id number" "identity card" "resident id" "id no" "shenfenzheng" "sfz" "居民证";
    PASSPORT = 6: "passport" "护照" "護照" "travel document";
    TRAVEL = 7: "通行证" "通行證" "台胞证" "回乡证" "travel permit";
    USCC = 8: "信用代码" "信用代碼" "uscc" "credit code" "营业执照" "營業執照" "税号" "稅號" "纳税人";
    TW_ID = 9: "身分證" "身份證" "統一編號" "national id" "id number" "居留證" "arc" "健保卡";
    HK_ID = 10: "hkid" "hong kong id" "hk id" "香港身份证" "香港身份證" "身份證" "身份证" "id card" "id number";
    MO_ID = 11: "澳门" "澳門" "macau" "macao" "bir";
    JP_ID = 12: "my number" "mynumber" "マイナンバー" "個人番号" "individual number";
    KR_ID = 13: "주민등록번호" "주민번호" "외국인등록번호" "rrn" "resident registration";
    SSN = 14: "ssn" "social security" "soc sec" "ss number" "社会安全号" "社會安全";
    ITIN = 15: "itin" "taxpayer" "tax id" "tax identification";
    NINO = 16: "nino" "national insurance" "ni number";
    NHS = 17: "nhs" "national health service" "health service number";
    AADHAAR = 18: "aadhaar" "aadhar" "uidai" "uid";
    PAN = 19: "pan" "permanent account" "income tax";
    NRIC = 20: "nric" "fin" "singapore id" "identity card" "ic number";
    TFN = 21: "tfn" "tax file";
    MEDICARE = 22: "medicare";
    SIN = 23: "sin" "social insurance" "numéro d'assurance sociale" "nas";
    CPF = 24: "cpf" "cadastro de pessoas";
    CNPJ = 25: "cnpj";
    DE_TAX = 26: "steuer id" "steuerid" "steuernummer" "steueridentifikationsnummer" "identifikationsnummer" "idnr" "german tax" "tax id" "tax identification" "tin";
    NIR = 27: "nir" "sécurité sociale" "securite sociale" "insee" "french social security" "numéro de sécu";
    DNI = 28: "dni" "nif" "nie" "documento nacional" "spanish id";
    CODICE = 29: "codice fiscale" "codice" "fiscal code" "cf";
    PESEL = 30: "pesel";
    BSN = 31: "bsn" "burgerservicenummer" "sofinummer" "citizen service";
    TH_ID = 32: "thai" "thailand" "เลขประจำตัวประชาชน" "บัตรประชาชน";
    MY_ID = 33: "mykad" "nric" "kad pengenalan" "malaysia" "malaysian" "ic";
    ID_ID = 34: "nik" "ktp" "nomor induk" "indonesian id";
    ZA_ID = 35: "south african id" "south africa" "id number" "rsa id" "za id";
    TR_ID = 36: "tckn" "t.c. kimlik" "tc kimlik" "kimlik" "turkish id";
    NORDIC = 37: "personnummer" "personal number" "henkilötunnus" "hetu" "personal identity" "swedish" "finnish";
    DANISH = 51: "cpr" "danish" "personnummer";
    NORWEGIAN = 52: "fødselsnummer" "fodselsnummer" "norwegian" "personnummer";
    AHV = 38: "ahv" "avs" "sozialversicherungsnummer";
    BE_ID = 39: "rijksregisternummer" "registre national" "national register" "insz" "niss" "belgian";
    PPS = 40: "pps" "ppsn" "personal public service";
    PT_NIF = 41: "nif" "contribuinte" "portuguese";
    IL_ID = 42: "teudat zehut" "israeli id" "תעודת זהות" "ת.ז";
    ROMANIAN = 43: "cnp" "cod numeric";
    CZECH = 44: "rodné číslo" "rodne cislo" "birth number" "rodné";
    CHILE = 45: "rut" "run" "rol único";
    MEXICO = 46: "curp" "clave única";
    VIETNAM = 47: "cccd" "cmnd" "căn cước" "vietnam id" "vietnamese id";
    ROUTING = 48: "routing" "aba" "rtn" "routing number" "transit";
    LICENCE = 49: "driver license" "drivers license" "driver's license" "driving licence" "driver licence" "driving license" "license number" "licence number" "dl number" "驾驶证" "駕駛證" "驾照" "駕照" "駕駛執照";
    PHONE = 50: "phone" "telephone" "tel" "mobile" "cell" "cellphone" "call" "fax" "whatsapp" "contact" "number is" "dial" "text me" "answering at" "messages to" "sms" "reach" "hotline" "ring" "电话" "電話" "手机" "手機" "联系" "聯絡" "聯繫" "传真" "傳真" "拨打" "撥打" "致电" "致電" "微信" "热线" "熱線";
}

/// The words, ready to be found.
#[derive(Debug)]
struct Words {
    search: AhoCorasick,
    /// By pattern: the topic and whether it stands apart from letters.
    meaning: Vec<(Topics, bool)>,
}

/// The words, made once.
fn words() -> Option<&'static Words> {
    static WORDS_READY: OnceLock<Option<Words>> = OnceLock::new();
    WORDS_READY.get_or_init(make).as_ref()
}

fn make() -> Option<Words> {
    let (mut patterns, mut meaning) = (Vec::new(), Vec::new());
    for (topic, words) in WORDS {
        for word in *words {
            for gap in [" ", "_", "-", ""] {
                if gap != " " && !word.contains(' ') {
                    continue;
                }
                // As it is in a text that was brought into one form.
                patterns.push(word.replace(' ', gap).nfkc().collect::<String>());
                meaning.push((*topic, word.is_ascii()));
            }
        }
    }
    let search =
        AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(&patterns).ok()?;
    Some(Words { search, meaning })
}

/// A word of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    start: usize,
    end: usize,
    topics: Topics,
}

impl Words {
    /// All words of a text, in the order of their ends.
    fn of(&self, text: &str) -> Vec<Word> {
        let bytes = text.as_bytes();
        let is = |at: Option<usize>, is: fn(&u8) -> bool| at.and_then(|at| bytes.get(at)).is_some_and(is);
        let mut words = Vec::new();
        for found in self.search.find_overlapping_iter(bytes) {
            let Some((topics, apart)) = self.meaning.get(found.pattern().as_usize()) else { continue };
            let (start, end) = (found.start(), found.end());
            // A plural is the same word.
            let next = if is(Some(end), |byte| byte.eq_ignore_ascii_case(&b's')) { end + 1 } else { end };
            let before = start.checked_sub(1);
            let front = !is(before, u8::is_ascii_alphabetic)
                || (is(Some(start), u8::is_ascii_uppercase) && is(before, u8::is_ascii_lowercase));
            let back = !is(Some(next), u8::is_ascii_alphabetic)
                || (is(Some(next), u8::is_ascii_uppercase) && is(Some(next - 1), u8::is_ascii_lowercase));
            if !apart || (front && back) {
                words.push(Word { start, end, topics: *topics });
            }
        }
        words
    }
}

/// The words of a text.
pub(super) fn of(text: &str) -> Vec<Word> {
    words().map(|words| words.of(text)).unwrap_or_default()
}

/// The topics of the words near a range of their text.
pub(super) fn near(words: &[Word], start: usize, end: usize) -> Topics {
    let first = words.partition_point(|word| word.end < start.saturating_sub(BEFORE));
    let near = words.iter().skip(first).take_while(|word| word.end <= end + AFTER);
    near.filter(|word| (word.start + BEFORE >= start && word.end <= start) || word.start >= end)
        .fold(0, |topics, word| topics | word.topics)
}
