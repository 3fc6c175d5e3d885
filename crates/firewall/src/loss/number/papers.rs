//! Papers of persons and firms: one row for each form of number.

use super::{Need, Number};
use crate::loss::Found;
use crate::loss::check::americas::{br_cnpj, br_cpf, ca_sin, cl_rut, mx_curp, us_itin, us_routing, us_ssn};
use crate::loss::check::asia::{
    au_medicare, au_tfn, cn_resident_id, cn_resident_id_15, hk_id, id_nik, il_id, in_aadhaar, in_pan, jp_my_number,
    kr_rrn, kr_rrn_dated, macau_id, my_nric, sg_nric, th_id, tr_id, tw_id, tw_residence_permit, uscc, vn_id, za_id,
};
use crate::loss::check::europe::{
    be_rrn, ch_ahv, cz_rodne_cislo, de_tax_id, dk_cpr, es_dni, es_nie, fi_hetu, fr_nir, ie_pps, it_codice_fiscale,
    nl_bsn, no_fnr, pl_pesel, pt_nif, ro_cnp, se_personnummer, uk_nhs, uk_nino,
};
use crate::loss::context::*;

/// One form of the number of a paper.
struct Paper {
    kind: &'static str,
    /// `9` is a digit, `A` a letter, `?` either.
    shape: &'static str,
    /// How it may be written in groups.
    groups: &'static [&'static [u8]],
    /// What may stand between them.
    separators: &'static [u8],
    check: fn(&[u8]) -> bool,
    need: Need,
    topics: Topics,
    rank: u8,
}

/// Nothing to check but the shape.
fn any(number: &[u8]) -> bool {
    !super::super::check::uniform(number)
}

/// A number that has at least four digits.
fn some_digits(number: &[u8]) -> bool {
    number.iter().filter(|byte| byte.is_ascii_digit()).count() >= 5
}

macro_rules! papers {
    ($($kind:literal $shape:literal $check:ident $need:ident $topics:expr, $rank:literal, $separators:literal $([$($group:literal)+])*;)+) => {
        &[$(Paper {
            kind: $kind, shape: $shape, check: $check, need: Need::$need, topics: $topics, rank: $rank,
            separators: $separators, groups: &[$(&[$($group),+]),*],
        }),+]
    };
}

const PAPERS: &[Paper] = papers! {
    "cn-resident-id" "99999999999999999?" cn_resident_id Nothing CN_ID, 80, b" -" [6 8 4] [3 3 8 4] [6 4 4 4];
    "cn-resident-id" "999999999999999" cn_resident_id_15 Words CN_ID, 50, b" -" [6 6 3];
    "uscc" "??999999??????????" uscc Nothing USCC, 79, b" -" [2 6 9 1] [8 10];
    "cn-passport" "A99999999" any Words PASSPORT, 62, b" " [1 8];
    "cn-passport" "AA9999999" any Words PASSPORT, 62, b" " [2 7];
    "cn-travel-permit" "A99999999" any Words TRAVEL, 61, b" " [1 8];
    "cn-travel-permit" "A9999999999" any Words TRAVEL, 61, b" " [1 10];
    "cn-travel-permit" "99999999" any Words TRAVEL, 61, b"";
    "tw-id" "A999999999" tw_id Clear TW_ID, 72, b" -" [1 9] [4 3 3];
    "tw-residence-permit" "A999999999" tw_residence_permit Clear TW_ID, 72, b" -" [1 9];
    "tw-residence-permit" "AA99999999" tw_residence_permit Clear TW_ID, 72, b" -" [2 8];
    "hk-id" "A999999?" hk_id Groups HK_ID, 70, b"( -" [7 1];
    "hk-id" "AA999999?" hk_id Groups HK_ID, 70, b"( -" [8 1];
    "macau-id" "99999999" macau_id Words MO_ID, 55, b"(/-" [7 1];
    "jp-my-number" "999999999999" jp_my_number Words JP_ID, 60, b" -" [4 4 4];
    "kr-rrn" "9999999999999" kr_rrn Groups KR_ID, 68, b"-" [6 7];
    "kr-rrn" "9999999999999" kr_rrn_dated Words KR_ID, 60, b" -" [6 7];
    "us-ssn" "999999999" us_ssn Groups SSN, 66, b"-" [3 2 4];
    "us-ssn" "999999999" us_ssn Words SSN, 60, b" ." [3 2 4];
    "us-itin" "999999999" us_itin Groups ITIN | SSN, 67, b"-" [3 2 4];
    "us-itin" "999999999" us_itin Words ITIN | SSN, 60, b" ." [3 2 4];
    "us-routing" "999999999" us_routing Words ROUTING, 60, b" -" [4 4 1] [3 3 3];
    "uk-nino" "AA999999A" uk_nino Clear NINO, 70, b" -" [2 2 2 2 1] [2 6 1];
    "uk-nhs" "9999999999" uk_nhs Words NHS, 64, b" -" [3 3 4];
    "in-aadhaar" "999999999999" in_aadhaar Groups AADHAAR, 66, b" -" [4 4 4];
    "in-pan" "AAAAA9999A" in_pan Clear PAN, 66, b"" ;
    "sg-nric" "A9999999A" sg_nric Clear NRIC, 68, b"" ;
    "au-tfn" "999999999" au_tfn Words TFN, 62, b" -" [3 3 3];
    "au-medicare" "9999999999" au_medicare Words MEDICARE, 62, b" -" [4 5 1];
    "au-medicare" "99999999999" au_medicare Words MEDICARE, 62, b" -/" [4 5 1 1];
    "ca-sin" "999999999" ca_sin Words SIN, 62, b" -" [3 3 3];
    "br-cpf" "99999999999" br_cpf Words CPF, 64, b"" ;
    "br-cnpj" "99999999999999" br_cnpj Words CNPJ, 64, b"" ;
    "de-tax-id" "99999999999" de_tax_id Words DE_TAX, 62, b" /" [2 3 3 3] [3 4 4];
    "fr-nir" "99999??99999999" fr_nir Clear NIR, 68, b" " [1 2 2 2 3 3 2] [13 2] [1 2 2 2 6 2];
    "es-dni" "99999999A" es_dni Clear DNI, 64, b" -" [8 1];
    "es-nie" "A9999999A" es_nie Clear DNI, 66, b" -" [1 7 1] [8 1] [1 8];
    "it-codice-fiscale" "AAAAAA??A??A???A" it_codice_fiscale Nothing CODICE, 80, b" " [3 3 5 5] [6 5 5];
    "pl-pesel" "99999999999" pl_pesel Words PESEL, 64, b"" ;
    "nl-bsn" "999999999" nl_bsn Words BSN, 64, b" ." [4 2 3] [3 3 3];
    "th-id" "9999999999999" th_id Groups TH_ID, 64, b" -" [1 4 5 2 1];
    "my-nric" "999999999999" my_nric Groups MY_ID, 63, b"-" [6 2 4];
    "id-nik" "9999999999999999" id_nik Words ID_ID, 66, b" ." [6 6 4] [4 4 4 4];
    "za-id" "9999999999999" za_id Words ZA_ID, 62, b" " [6 4 2 1] [6 4 3];
    "tr-id" "99999999999" tr_id Words TR_ID, 64, b"" ;
    "fi-hetu" "999999999?" fi_hetu Groups NORDIC, 66, b"-" [6 4];
    "se-personnummer" "9999999999" se_personnummer Words NORDIC, 62, b"-" [6 4];
    "se-personnummer" "999999999999" se_personnummer Words NORDIC, 63, b"-" [8 4];
    "dk-cpr" "9999999999" dk_cpr Words DANISH, 58, b"-" [6 4];
    "no-fnr" "99999999999" no_fnr Words NORWEGIAN, 64, b" " [6 5];
    "ch-ahv" "9999999999999" ch_ahv Clear AHV, 70, b". " [3 4 4 2];
    "ie-pps" "9999999A" ie_pps Words PPS, 64, b"" ;
    "ie-pps" "9999999AA" ie_pps Words PPS, 64, b"" ;
    "pt-nif" "999999999" pt_nif Words PT_NIF, 60, b" " [3 3 3];
    "il-id" "999999999" il_id Words IL_ID, 60, b"-" [8 1];
    "ro-cnp" "9999999999999" ro_cnp Words ROMANIAN, 64, b"" ;
    "cz-rodne-cislo" "9999999999" cz_rodne_cislo Words CZECH, 62, b"/" [6 4];
    "cl-rut" "99999999?" cl_rut Words CHILE, 62, b"-" [8 1];
    "mx-curp" "AAAA999999AAAAAA?9" mx_curp Nothing MEXICO, 78, b"" ;
    "vn-id" "999999999999" vn_id Words VIETNAM, 58, b" " [3 3 6] [4 4 4];
    "passport" "999999999" any Words PASSPORT, 50, b"" ;
    "passport" "99999999" any Words PASSPORT, 49, b"" ;
    "passport" "A9999999" some_digits Words PASSPORT, 50, b" " [1 7];
    "passport" "A99999999" some_digits Words PASSPORT, 50, b" " [1 8];
    "passport" "AA999999" some_digits Words PASSPORT, 50, b" " [2 6];
    "passport" "AA9999999" some_digits Words PASSPORT, 50, b" " [2 7];
    "passport" "99AA99999" some_digits Words PASSPORT, 50, b"" ;
    "passport" "A9A999999" some_digits Words PASSPORT, 50, b"" ;
    "passport" "????????9" some_digits Words PASSPORT, 48, b"" ;
    "driver-license" "A9999999" any Words LICENCE, 45, b"" ;
    "driver-license" "A999999" any Words LICENCE, 45, b"" ;
    "driver-license" "A99999999" any Words LICENCE, 45, b"" ;
    "driver-license" "A999999999999" any Words LICENCE, 45, b" -" [1 3 4 5] [4 4 5] [4 3 2 3 1];
    "driver-license" "A99999999999999" any Words LICENCE, 45, b" -" [5 5 5];
    "driver-license" "AA999999" any Words LICENCE, 45, b"" ;
    "driver-license" "AA999999A" any Words LICENCE, 45, b"" ;
    "driver-license" "9999999" any Words LICENCE, 44, b"" ;
    "driver-license" "99999999" any Words LICENCE, 44, b"" ;
    "driver-license" "999999999" any Words LICENCE, 44, b"" ;
    "driver-license" "?????999999??9??" some_digits Words LICENCE, 45, b"" ;
};

/// Numbers whose groups have different separators between them.
struct Mixed {
    kind: &'static str,
    groups: &'static [u8],
    separators: &'static [u8],
    check: fn(&[u8]) -> bool,
    rank: u8,
}

const MIXED: &[Mixed] = &[
    Mixed { kind: "br-cpf", groups: &[3, 3, 3, 2], separators: b"..-", check: br_cpf, rank: 80 },
    Mixed { kind: "br-cnpj", groups: &[2, 3, 3, 4, 2], separators: b"../-", check: br_cnpj, rank: 80 },
    Mixed { kind: "be-rrn", groups: &[2, 2, 2, 3, 2], separators: b"..-.", check: be_rrn, rank: 78 },
    Mixed { kind: "cl-rut", groups: &[2, 3, 3, 1], separators: b"..-", check: cl_rut, rank: 76 },
    Mixed { kind: "cl-rut", groups: &[1, 3, 3, 1], separators: b"..-", check: cl_rut, rank: 76 },
];

/// The rows by the length of the number.
fn of_length(length: usize) -> impl Iterator<Item = &'static Paper> {
    static BY_LENGTH: std::sync::OnceLock<Vec<Vec<&'static Paper>>> = std::sync::OnceLock::new();
    let by_length = BY_LENGTH.get_or_init(|| {
        (0..20).map(|length| PAPERS.iter().filter(|paper| paper.shape.len() == length).collect()).collect()
    });
    by_length.get(length).into_iter().flatten().copied()
}

fn has_shape(compact: &[u8], shape: &str) -> bool {
    compact.iter().zip(shape.bytes()).all(|(byte, shape)| match shape {
        b'9' => byte.is_ascii_digit(),
        b'A' => byte.is_ascii_uppercase(),
        _ => true,
    })
}

pub(super) fn check(number: &Number<'_>, found: &mut Vec<Found>) {
    let compact = number.compact();
    for paper in of_length(compact.len()) {
        let whole = number.groups().len() == 1;
        if !(whole || number.is_grouped(paper.groups, paper.separators)) || !has_shape(compact, paper.shape) {
            continue;
        }
        if (!whole && number.is_in_a_row()) || !(paper.check)(compact) {
            continue;
        }
        if number.is_met(paper.need, paper.topics) {
            found.push(closed(number, number.found(paper.kind, paper.rank, paper.topics)));
        }
    }
    for mixed in MIXED.iter().filter(|mixed| number.groups() == mixed.groups && number.separators() == mixed.separators)
    {
        if (mixed.check)(compact) {
            found.push(Found { kind: mixed.kind, start: number.start, end: number.end, rank: mixed.rank });
        }
    }
}

/// A bracket that was opened before the last group ends behind it.
fn closed(number: &Number<'_>, found: Found) -> Found {
    let bracket = number.separators().last() == Some(&b'(') && number.after(0) == Some(b')');
    Found { end: found.end + usize::from(bracket), ..found }
}
