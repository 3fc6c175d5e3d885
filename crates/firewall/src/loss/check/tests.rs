use super::americas::*;
use super::asia::*;
use super::europe::*;
use super::*;

/// Examples that were published with their kind, and the same with the last character changed.
fn holds(check: fn(&[u8]) -> bool, examples: &[&str]) {
    for example in examples {
        assert!(check(example.as_bytes()), "{example}");
        let mut other = example.as_bytes().to_vec();
        if let Some(last) = other.last_mut() {
            *last = match *last {
                b'9' => b'0',
                b'Z' => b'A',
                byte => byte + 1,
            };
        }
        assert!(!check(&other), "{example} with another end");
    }
}

#[test]
fn published_numbers_have_their_check_digits() {
    holds(
        luhn,
        &[
            "4111111111111111",
            "5555555555554444",
            "378282246310005",
            "6011111111111117",
            "3530111333300000",
            "30569309025904",
        ],
    );
    holds(
        mod97,
        &[
            "GB82WEST12345698765432",
            "DE89370400440532013000",
            "NL91ABNA0417164300",
            "BE68539007547034",
            "CH9300762011623852957",
        ],
    );
    holds(verhoeff, &["2363", "999941057058"]);
    holds(
        bech32,
        &[
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ],
    );
    holds(cn_resident_id, &["11010519491231002X", "110101199003074477"]);
    holds(uscc, &["91350100M000100Y43", "9144030071526726XG"]);
    holds(tw_id, &["A123456789"]);
    holds(tw_residence_permit, &["A800000014"]);
    holds(hk_id, &["A1234563", "G123456A", "AB9876543"]);
    holds(jp_my_number, &["123456789018"]);
    holds(sg_nric, &["S1234567D", "T1234567J", "F1234567N", "G1234567X", "M1234567K"]);
    holds(au_tfn, &["123456782", "876543210"]);
    holds(il_id, &["123456782"]);
    holds(tr_id, &["10000000146"]);
    holds(za_id, &["8001015009087"]);
    holds(us_routing, &["021000021", "011401533"]);
    holds(ca_sin, &["046454286", "193456787"]);
    holds(br_cpf, &["52998224725", "11144477735"]);
    holds(br_cnpj, &["11222333000181"]);
    holds(cl_rut, &["123456785"]);
    holds(mx_curp, &["HEGG560427MVZRRL04"]);
    holds(uk_nhs, &["9434765919", "4010232137"]);
    holds(de_tax_id, &["86095742719"]);
    holds(fr_nir, &["255081416802538"]);
    holds(es_dni, &["12345678Z"]);
    holds(es_nie, &["X1234567L", "Y1234567X", "Z1234567R"]);
    holds(it_codice_fiscale, &["RSSMRA85T10A562S"]);
    holds(pl_pesel, &["44051401359"]);
    holds(nl_bsn, &["111222333"]);
    holds(fi_hetu, &["131052308T"]);
    holds(se_personnummer, &["8112189876"]);
    holds(ch_ahv, &["7569217076985"]);
    holds(be_rrn, &["93051822361"]);
    holds(ie_pps, &["1234567T"]);
    holds(pt_nif, &["123456789"]);
    holds(cz_rodne_cislo, &["7801233540"]);
}

#[test]
fn what_cannot_be_given_is_no_number() {
    assert!(us_ssn(b"078051120"));
    for never in ["000123456", "666123456", "900123456", "123006789", "123450000", "111111111"] {
        assert!(!us_ssn(never.as_bytes()), "{never}");
    }
    assert!(us_itin(b"912701234") && !us_itin(b"812701234") && !us_itin(b"912891234"));
    assert!(uk_nino(b"AB123456C") && !uk_nino(b"BG123456C") && !uk_nino(b"DA123456A") && !uk_nino(b"AB123456E"));
    assert!(in_pan(b"ABCPD1234Z") && !in_pan(b"ABCXD1234Z"));
    // 31 February, an unknown province, the year 1880.
    for never in ["110101199002314478", "990101199003074477", "440524188001010014"] {
        assert!(!cn_resident_id(never.as_bytes()), "{never}");
    }
    assert!(!luhn(b"0000000000000000"), "all the same");
    assert!(!cn_mobile(b"12012345678") && !cn_mobile(b"13800000000") && cn_mobile(b"13812345678"));
}

#[test]
fn days_are_counted() {
    assert!(date(2024, 2, 29) && date(2000, 2, 29) && date(0, 2, 29) && date(96, 2, 29));
    assert!(!date(2023, 2, 29) && !date(1900, 2, 29) && !date(2024, 4, 31) && !date(2024, 13, 1) && !date(2024, 1, 0));
}

#[test]
fn what_is_no_number_is_none() {
    for check in [
        luhn,
        mod97,
        verhoeff,
        bech32,
        cn_resident_id,
        uscc,
        tw_id,
        hk_id,
        sg_nric,
        fr_nir,
        it_codice_fiscale,
        ie_pps,
        mx_curp,
        cl_rut,
    ] {
        for text in ["", "1", "AB", "------------", "\u{e9}\u{e9}\u{e9}", "ABCDEFGHIJKLMNOPQR", "999999999999999999"] {
            assert!(!check(text.as_bytes()) || text.len() == 1, "{text}");
        }
    }
}

#[test]
fn base58() {
    holds(
        super::base58,
        &[
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
            "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
        ],
    );
    assert!(!super::base58(b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"));
}
