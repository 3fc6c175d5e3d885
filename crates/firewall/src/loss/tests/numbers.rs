//! Numbers: recall over made ones in sentences of three scripts, and what is like them and is none.

use super::super::check::americas::*;
use super::super::check::asia::*;
use super::super::check::europe::*;
use super::super::check::{luhn, mod97};
use super::made::{Dice, grouped, number, spoilt};
use super::{found, holds};

fn any(_: &[u8]) -> bool {
    true
}

/// A kind: its shape, check, groups with their separator, words before it, and whether it is found without words.
struct Case(
    &'static str,
    &'static [&'static str],
    fn(&[u8]) -> bool,
    &'static [(&'static [usize], &'static str)],
    &'static [&'static str],
    bool,
);

const CASES: &[Case] = &[
    Case(
        "card",
        &[
            "4999999999999999",
            "5199999999999999",
            "5599999999999999",
            "379999999999999",
            "6011999999999999",
            "3528999999999999",
        ],
        luhn,
        &[],
        &["credit card", "card number", "卡号", "信用卡卡號"],
        true,
    ),
    Case(
        "card",
        &["4999999999999999", "5299999999999999"],
        luhn,
        &[(&[4, 4, 4, 4], " "), (&[4, 4, 4, 4], "-")],
        &["card", "Visa", "信用卡"],
        true,
    ),
    Case("card", &["349999999999999"], luhn, &[(&[4, 6, 5], " ")], &["Amex"], true),
    Case(
        "card",
        &["36999999999999", "4999999999999", "501899999999"],
        luhn,
        &[],
        &["card number", "credit card"],
        false,
    ),
    Case(
        "cn-bank-card",
        &["6222999999999999999", "6228489999999999999", "6217999999999999"],
        luhn,
        &[],
        &["银行卡号", "銀行卡", "储蓄卡", "bank card"],
        true,
    ),
    Case("cn-bank-card", &["6222999999999999999"], luhn, &[(&[4, 4, 4, 4, 3], " ")], &["卡号"], true),
    Case("iban", &["DE99999999999999999999"], mod97, &[(&[4, 4, 4, 4, 4, 2], " ")], &["IBAN", "account", "账号"], true),
    Case("iban", &["GB99AAAA99999999999999"], mod97, &[(&[4, 4, 4, 4, 4, 2], " ")], &["IBAN"], true),
    Case("us-routing", &["021999999", "121999999"], us_routing, &[], &["routing number", "ABA"], false),
    Case(
        "cn-resident-id",
        &["110101199999999999", "44030619999999999X", "310115200999999999"],
        cn_resident_id,
        &[(&[6, 8, 4], " ")],
        &["身份证号", "身分證號碼", "ID card", "公民身份号码"],
        true,
    ),
    Case("cn-resident-id", &["110101999999999"], cn_resident_id_15, &[], &["身份证号", "id number"], false),
    Case(
        "uscc",
        &["91110108??????????", "91440300??????????"],
        uscc,
        &[],
        &["统一社会信用代码", "統一社會信用代碼", "USCC"],
        true,
    ),
    Case(
        "cn-passport",
        &["E99999999", "EA9999999", "G99999999"],
        any,
        &[],
        &["护照号", "護照號碼", "passport no."],
        false,
    ),
    Case(
        "cn-travel-permit",
        &["C99999999", "H9999999999", "99999999"],
        any,
        &[],
        &["港澳通行证", "台胞证号", "通行證號碼"],
        false,
    ),
    Case(
        "tw-id",
        &["A199999999", "F299999999", "Z199999999"],
        tw_id,
        &[],
        &["身分證字號", "身份证", "national ID"],
        true,
    ),
    Case(
        "tw-residence-permit",
        &["A899999999", "AC99999999"],
        tw_residence_permit,
        &[],
        &["居留證號", "ARC", "居留證統一編號"],
        true,
    ),
    Case("hk-id", &["A999999?", "AB999999?"], hk_id, &[], &["香港身份證", "HKID", "香港身份证号码"], false),
    Case("macau-id", &["59999999", "19999999"], any, &[], &["澳門身份證", "Macau ID", "澳门居民身份证"], false),
    Case(
        "jp-my-number",
        &["999999999999"],
        jp_my_number,
        &[(&[4, 4, 4], " ")],
        &["マイナンバー", "My Number", "個人番号"],
        false,
    ),
    Case(
        "kr-rrn",
        &["9999991999999", "9999992999999"],
        kr_rrn,
        &[(&[6, 7], "-")],
        &["주민등록번호", "RRN", "resident registration number"],
        false,
    ),
    Case(
        "us-ssn",
        &["999999999"],
        us_ssn,
        &[(&[3, 2, 4], "-"), (&[3, 2, 4], " ")],
        &["SSN", "social security number", "社会安全号"],
        false,
    ),
    Case("us-itin", &["999999999"], us_itin, &[(&[3, 2, 4], "-")], &["ITIN", "taxpayer number", "tax ID"], false),
    Case(
        "uk-nino",
        &["AA999999C"],
        uk_nino,
        &[(&[2, 2, 2, 2, 1], " ")],
        &["national insurance number", "NINO", "NI number"],
        true,
    ),
    Case("uk-nhs", &["9999999999"], uk_nhs, &[(&[3, 3, 4], " ")], &["NHS number", "NHS", "nhs no"], false),
    Case(
        "in-aadhaar",
        &["999999999999"],
        in_aadhaar,
        &[(&[4, 4, 4], " "), (&[4, 4, 4], "-")],
        &["Aadhaar", "aadhar card", "UIDAI"],
        false,
    ),
    Case("in-pan", &["AAAPA9999A"], in_pan, &[], &["PAN", "permanent account number", "income tax PAN"], true),
    Case(
        "sg-nric",
        &["S9999999A", "T9999999A", "F9999999A", "G9999999A"],
        sg_nric,
        &[],
        &["NRIC", "FIN", "Singapore ID"],
        true,
    ),
    Case("au-tfn", &["999999999"], au_tfn, &[(&[3, 3, 3], " ")], &["TFN", "tax file number", "my TFN"], false),
    Case(
        "au-medicare",
        &["2999999999", "4999999999"],
        au_medicare,
        &[(&[4, 5, 1], " ")],
        &["Medicare", "medicare card", "Medicare number"],
        false,
    ),
    Case(
        "ca-sin",
        &["199999999", "599999999"],
        ca_sin,
        &[(&[3, 3, 3], " "), (&[3, 3, 3], "-")],
        &["SIN", "social insurance number", "Canadian SIN"],
        false,
    ),
    Case("br-cpf", &["99999999999"], br_cpf, &[], &["CPF", "cpf do cliente", "número CPF"], false),
    Case("br-cnpj", &["99999999999999"], br_cnpj, &[], &["CNPJ", "cnpj da empresa", "número CNPJ"], false),
    Case(
        "de-tax-id",
        &["99999999999"],
        de_tax_id,
        &[(&[2, 3, 3, 3], " ")],
        &["Steuer-ID", "Steueridentifikationsnummer", "German tax ID"],
        false,
    ),
    Case(
        "fr-nir",
        &["199079999999999", "299129999999999"],
        fr_nir,
        &[(&[1, 2, 2, 2, 3, 3, 2], " ")],
        &["numéro de sécurité sociale", "NIR", "INSEE"],
        true,
    ),
    Case("es-dni", &["99999999A"], es_dni, &[(&[8, 1], "-")], &["DNI", "NIF", "documento nacional"], true),
    Case("es-nie", &["X9999999A", "Y9999999A"], es_nie, &[(&[1, 7, 1], "-")], &["NIE", "DNI", "nie"], true),
    Case(
        "it-codice-fiscale",
        &["AAAAAA85T10A999A"],
        it_codice_fiscale,
        &[],
        &["codice fiscale", "CF", "fiscal code"],
        true,
    ),
    Case("pl-pesel", &["99999999999"], pl_pesel, &[], &["PESEL", "numer PESEL", "pesel"], false),
    Case("nl-bsn", &["999999999"], nl_bsn, &[], &["BSN", "burgerservicenummer", "bsn-nummer"], false),
    Case(
        "th-id",
        &["1999999999999"],
        th_id,
        &[(&[1, 4, 5, 2, 1], "-")],
        &["Thai ID", "เลขประจำตัวประชาชน", "Thailand citizen"],
        false,
    ),
    Case(
        "my-nric",
        &["999999019999", "999999149999"],
        my_nric,
        &[(&[6, 2, 4], "-")],
        &["MyKad", "Malaysian IC", "kad pengenalan"],
        false,
    ),
    Case("id-nik", &["3299999999999999"], id_nik, &[], &["NIK", "KTP", "nomor induk"], false),
    Case("za-id", &["9999999999089"], za_id, &[], &["South African ID", "RSA ID", "ID number"], false),
    Case("tr-id", &["19999999999"], tr_id, &[], &["TCKN", "T.C. Kimlik No", "kimlik"], false),
    Case("fi-hetu", &["999999999?"], fi_hetu, &[(&[6, 4], "-")], &["henkilötunnus", "hetu", "Finnish code"], false),
    Case(
        "se-personnummer",
        &["9999999999"],
        se_personnummer,
        &[(&[6, 4], "-")],
        &["personnummer", "Swedish personal number", "personal number"],
        false,
    ),
    Case("dk-cpr", &["9999999999"], dk_cpr, &[(&[6, 4], "-")], &["CPR", "cpr-nummer", "Danish CPR"], false),
    Case("no-fnr", &["99999999999"], no_fnr, &[], &["fødselsnummer", "Norwegian number", "personnummer"], false),
    Case(
        "ch-ahv",
        &["7569999999999"],
        ch_ahv,
        &[(&[3, 4, 4, 2], ".")],
        &["AHV", "AVS", "Sozialversicherungsnummer"],
        true,
    ),
    Case("ie-pps", &["9999999A"], ie_pps, &[], &["PPS", "PPSN", "PPS number"], false),
    Case("pt-nif", &["299999999"], pt_nif, &[], &["NIF", "contribuinte", "Portuguese NIF"], false),
    Case("il-id", &["399999999"], il_id, &[], &["Israeli ID", "teudat zehut", "תעודת זהות"], false),
    Case("ro-cnp", &["1999999999999"], ro_cnp, &[], &["CNP", "cod numeric personal", "cnp"], false),
    Case(
        "cz-rodne-cislo",
        &["9999999999"],
        cz_rodne_cislo,
        &[(&[6, 4], "/")],
        &["rodné číslo", "birth number", "rodne cislo"],
        false,
    ),
    Case("cl-rut", &["99999999?"], cl_rut, &[(&[8, 1], "-")], &["RUT", "rut del cliente", "RUN"], false),
    Case("mx-curp", &["AAAA999999HDFRRL99"], mx_curp, &[], &["CURP", "clave única", "curp"], true),
    Case("vn-id", &["079999999999"], vn_id, &[], &["CCCD", "căn cước", "CMND"], false),
    Case("passport", &["999999999", "A9999999", "AA999999"], any, &[], &["passport number", "Passport", "护照"], false),
    Case(
        "driver-license",
        &["A9999999", "A999999999999", "AA999999"],
        any,
        &[],
        &["driver's license", "driving licence", "驾驶证号"],
        false,
    ),
    Case(
        "cn-mobile",
        &["13999999999", "15999999999", "18999999999"],
        cn_mobile,
        &[(&[3, 4, 4], " "), (&[3, 4, 4], "-")],
        &["手机", "手機", "call", "电话"],
        true,
    ),
    Case(
        "tw-mobile",
        &["0999999999"],
        |number| number.starts_with(b"09"),
        &[(&[4, 3, 3], "-")],
        &["手機", "mobile", "電話"],
        true,
    ),
];

/// Sentences around a number. Those that need no words stand behind the others.
const WITH_WORDS: [&str; 7] = [
    "My {w} is {n}.",
    "{w}: {n}",
    "{w}：{n}，请核对。",
    "客户的{w}是{n}",
    "{\"{w}\": \"{n}\"}",
    "Please update the {w} ({n}) today",
    "- {w} = {n}\n- other = 1",
];
const WITHOUT: [&str; 4] = ["{n}", "see {n} below", "她发来了{n}，请保存", "a,b\n{n}\nc"];

#[test]
fn made_numbers_are_found_in_sentences() {
    let mut missed = Vec::new();
    let mut all = 0;
    for (seed, Case(kind, shapes, check, groups, words, alone)) in CASES.iter().enumerate() {
        let mut dice = Dice::new(seed as u64 + 1);
        for round in 0..24 {
            let made = number(&mut dice, shapes[round % shapes.len()], check);
            let shown = match groups.get(round % (groups.len() + 1)) {
                Some((lengths, separator)) if lengths.iter().sum::<usize>() == made.len() => {
                    grouped(&made, lengths, separator)
                }
                _ => made,
            };
            let sentence = if *alone && round % 4 == 3 { dice.of(&WITHOUT) } else { dice.of(&WITH_WORDS) };
            let text = sentence.replace("{w}", dice.of(words)).replace("{n}", &shown);
            all += 1;
            if !holds(&text, kind, &shown) {
                missed.push(format!("{kind}: {text:?} gave {:?}", found(&text)));
            }
        }
    }
    println!("{} of {all} missed\n{}", missed.len(), missed.join("\n"));
    assert!(missed.len() * 100 <= all * 3, "{} of {all} missed:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn a_wrong_check_digit_is_no_hit() {
    let mut wrong = Vec::new();
    for (seed, Case(kind, shapes, check, _, words, _)) in CASES.iter().enumerate() {
        let mut dice = Dice::new(seed as u64 + 1001);
        for shape in *shapes {
            let made = number(&mut dice, shape, check);
            // Those given since October 2020 have no check digit, so words are enough.
            if *kind == "kr-rrn" {
                continue;
            }
            let Some(bad) = spoilt(&made, check) else { continue };
            for text in [format!("{}: {bad}", words[0]), format!("it is {bad} here")] {
                wrong.extend(
                    found(&text).into_iter().filter(|(found, _)| found == kind).map(|hit| format!("{text}: {hit:?}")),
                );
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn without_words_only_what_is_certain_is_found() {
    for (seed, Case(kind, shapes, check, _, _, alone)) in CASES.iter().enumerate() {
        let mut dice = Dice::new(seed as u64 + 2001);
        for shape in *shapes {
            let made = number(&mut dice, shape, check);
            let hit = found(&format!("row 7, {made} of them")).iter().any(|(found, _)| found == kind);
            assert!(!hit || *alone || *kind == "card", "{kind} {made}");
        }
    }
}

#[test]
fn numbers_in_forms_of_their_own_are_found() {
    for (kind, text) in [
        ("br-cpf", "529.982.247-25"),
        ("br-cpf", "O cliente 111.444.777-35 pagou"),
        ("br-cnpj", "11.222.333/0001-81"),
        ("be-rrn", "93.05.18-223.61"),
        ("be-rrn", "numéro 93.05.18-223.61."),
        ("be-rrn", "Rijksregisternummer: 93.05.18-223.61"),
        ("cl-rut", "12.345.678-5"),
        ("hk-id", "A123456(3)"),
        ("hk-id", "他的證件是A123456（3）。"),
        ("hk-id", "HKID A1234563"),
        ("us-ssn", "078-05-1120"),
        ("us-itin", "912-70-1234"),
        ("iban", "GB82 WEST 1234 5698 7654 32"),
        ("iban", "NL91ABNA0417164300, thanks"),
        ("iban", "iban: de89370400440532013000"),
        ("bitcoin-address", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        ("bitcoin-address", "send BTC to 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
        ("bitcoin-address", "比特币地址：3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"),
        ("ethereum-address", "wallet 0x52908400098527886E0F7030069857D2E4169EE7"),
        ("ethereum-address", "以太坊钱包：0xde709f2102306220921060314715629080e2fb77"),
        ("ethereum-address", "ETH: 0x8617E340B3D01FA5F11F306F4090FD50E238070D"),
        ("tron-address", "USDT (TRC20) address TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"),
        ("tron-address", "钱包地址 TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"),
        ("tron-address", "TRON wallet: TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"),
        ("phone", "+1 (415) 555-2671"),
        ("phone", "(415) 555-2671"),
        ("phone", "call 415-555-2671 now"),
        ("phone", "+44 20 7946 0958"),
        ("phone", "电话 010-62345678"),
        ("cn-mobile", "+86 138 1234 5678"),
        ("cn-mobile", "我的手机号是13812345678。"),
        ("cn-mobile", "加微信１３８１２３４５６７８"),
        ("tw-mobile", "+886 912 345 678"),
        ("card-code", "CVV: 123"),
        ("card-code", "exp 12/27, cvv 123."),
        ("card-code", "卡背面的安全码是 456"),
        ("card-code", "cvc 2 and CVC: 9876"),
        ("pin", "my PIN is 4821"),
        ("pin", "PIN: 902311"),
        ("pin", "the pin for the safe is 4455"),
        ("one-time-code", "您的验证码是：482913，5分钟内有效"),
        ("one-time-code", "your verification code is 482913"),
        ("one-time-code", "OTP: 4829"),
    ] {
        assert!(found(text).iter().any(|(found, _)| found == kind), "{kind} in {text:?}: {:?}", found(text));
    }
}

#[test]
fn harmless_numbers_are_not_taken() {
    for text in [
        "id 550e8400-e29b-41d4-a716-446655440000",
        "4111-1111-1111-1111-1111 and 0-4111-1111-1111-1111",
        "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
        "at 1700000000000 and 1700000000, 2024-05-17T10:20:30.123456789Z",
        "version 1.2.3.4 of 2024.11.23, build 20241123.1234",
        "order 20241123000123456789, tracking 1Z999AA10123456784",
        "colour #4a90e2, size 1024x768, port 8080, 99.9999999999 %",
        "pi is 3.14159265358979323846, e is 2.71828182845904523536",
        "0.4111111111111111 of 12345678901234567890",
        "ISBN 978-3-16-148410-0 and DOI 10.1000/182",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
        "2011 2012 2013 2014 2015 2016 2017 2018",
        "sum 4,111,111,111,111,111 of 123-45-678 and 12-345-6789",
        "000-12-3456, 666-12-3456, 123-00-4567",
        "the pin is 3 mm long; pinging 1234 hosts; opinion: 12345",
        "0x52908400098527886E0F7030069857D2E4169EE7 is a hash",
        "A123456789B and XA123456789",
    ] {
        let hits: Vec<_> = found(text).into_iter().filter(|(kind, _)| kind != "phone").collect();
        assert_eq!(hits, [], "{text}");
    }
    for text in
        ["version 10.0.19041.1237", "range 2024-01-02 to 2025-01-02", "1234567", "lines 1200-1300", "192.168.100.200"]
    {
        assert_eq!(found(text), [], "{text}");
    }
}
