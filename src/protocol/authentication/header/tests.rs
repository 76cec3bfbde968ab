use proptest::prelude::*;
use strum::VariantArray;

use super::*;

fn find(header: &str) -> Parameters {
    Parameters::find(header)
        .unwrap_or_else(|fault| panic!("{header}: {fault}"))
        .unwrap_or_else(|| panic!("{header}: absent"))
}

#[test]
fn parameters_are_read_in_any_order_and_with_any_blanks() {
    let expected = Parameters::new()
        .with(ParameterName::Sig, "a==")
        .with(ParameterName::Opaque, "b-_");
    for header in [
        r#"libp2p-PeerID sig="a==", opaque="b-_""#,
        r#"libp2p-PeerID opaque="b-_", sig="a==""#,
        r#"libp2p-PeerID opaque="b-_" sig="a==""#,
        r#"libp2p-PeerID opaque="b-_",sig="a==""#,
        "  LIBP2P-peerid\t OPAQUE = \"b-_\" ,, Sig=\t\"a==\",",
        r#"libp2p-PeerID opaque=b-_, sig=a=="#,
        r#"libp2p-PeerID opaque="\b-\_", sig="a=\=""#,
        r#"libp2p-PeerID opaque="b-_", unknown="sig=\"x\", opaque=ä", sig="a==", realm=x"#,
    ] {
        assert_eq!(find(header).to_string(), expected.to_string(), "{header}");
    }
}

#[test]
fn other_schemes_beside_it_are_skipped() {
    let ours = r#"libp2p-PeerID sig="a""#;
    for header in [
        format!("Basic dXNlcjpwYXNz, {ours}"),
        format!("Basic dXNlcjpwYXNzdw==, {ours}, Negotiate"),
        format!(r#"Digest realm="libp2p-PeerID sig=\"x\", y", sig=z, {ours}"#),
        format!(r#"Digest sig= "x", opaque ="y", {ours}, Digest sig="z""#),
        format!("Negotiate, {ours}, Basic"),
        format!("Negotiate {ours}"),
        format!("{ours} Basic realm=\"libp2p-PeerID\""),
    ] {
        assert_eq!(find(&header).to_string(), ours, "{header}");
    }
}

#[test]
fn a_header_for_other_schemes_only_is_absent() {
    let long = format!("Negotiate {}", "A".repeat(5_000));
    for header in [
        "",
        "Basic dXNlcjpwYXNz",
        "Bearer \" not \0 a header",
        r#"Digest realm="libp2p-PeerID sig=x""#,
        "Bearer libp2p-PeerIDs",
        long.as_str(),
    ] {
        assert_eq!(Parameters::find(header), Ok(None), "{header}");
    }
}

#[test]
fn a_wrong_header_for_the_scheme_is_never_absent() {
    let long = format!(r#"libp2p-PeerID sig="{}""#, "a".repeat(MAX_HEADER_BYTES));
    for (header, fault) in [
        (r#"libp2p-PeerID sig="#, HeaderFault::Malformed),
        (r#"libp2p-PeerID sig=, opaque="b""#, HeaderFault::Malformed),
        (r#"libp2p-PeerID sig="a"#, HeaderFault::Malformed),
        (r#"libp2p-PeerID sig="a\"#, HeaderFault::Malformed),
        (r#"libp2p-PeerID ="a""#, HeaderFault::Malformed),
        (r#"libp2p-PeerID "a""#, HeaderFault::Malformed),
        (r#"libp2p-PeerID="a""#, HeaderFault::Malformed),
        (r#""libp2p-PeerID sig=a"#, HeaderFault::Malformed),
        (r#"sig="a", libp2p-PeerID"#, HeaderFault::Malformed),
        ("libp2p-PeerID sig=\"a\nb\"", HeaderFault::Malformed),
        ("libp2p-PeerID sig=\"ä\"", HeaderFault::Malformed),
        ("libp2p-PeerID\u{a0}sig=\"a\"", HeaderFault::Malformed),
        (
            r#"libp2p-PeerID sig="a", Sig="a""#,
            HeaderFault::RepeatedParameter(ParameterName::Sig),
        ),
        (
            r#"libp2p-PeerID sig="a", Basic, libp2p-PeerID sig="a""#,
            HeaderFault::RepeatedScheme,
        ),
        (long.as_str(), HeaderFault::TooLong),
    ] {
        assert_eq!(Parameters::find(header), Err(fault), "{header}");
    }
    assert_eq!(
        find("libp2p-PeerID, Basic x").to_string(),
        "libp2p-PeerID",
        "present, with nothing in it"
    );
}

#[test]
fn the_longest_header_is_read() {
    let fixed = r#"libp2p-PeerID sig="""#.len();
    let value = "a".repeat(MAX_HEADER_BYTES - fixed);
    let header = format!(r#"libp2p-PeerID sig="{value}""#);
    assert_eq!(header.len(), MAX_HEADER_BYTES);
    assert_eq!(find(&header).get(ParameterName::Sig), Some(value.as_str()));
}

fn names() -> impl Strategy<Value = ParameterName> {
    prop::sample::select(ParameterName::VARIANTS)
}

/// Pieces that the grammar gives a meaning to, in a random order.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("libp2p-PeerID".to_owned()),
        Just("libp2p-peerid ".to_owned()),
        Just("Basic ".to_owned()),
        names().prop_map(|name| name.to_string()),
        names().prop_map(|name| format!("{name}=\"a\"")),
        "[=\", \\\\\t]{1,3}",
        "\\PC{0,3}",
        "[\\x00-\\x7f]{0,4}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn reading_what_was_written_gives_the_same_parameters(
        values in prop::collection::vec((names(), "[ -~]{0,40}"), 0..8),
        around in prop_oneof![Just(("", "")), Just(("Basic YWI=, ", ", Digest a=\"libp2p-PeerID \\\"\""))],
    ) {
        let written = values.into_iter().fold(Parameters::new(), |all, (name, value)| all.with(name, value));
        let header = format!("{}{written}{}", around.0, around.1);
        let read = Parameters::find(&header).unwrap().unwrap();
        prop_assert_eq!(read.to_string(), written.to_string());
        prop_assert!(read == written);
    }

    #[test]
    fn hostile_headers_are_read_or_refused_and_what_was_read_can_be_written(header in hostile()) {
        if let Ok(Some(read)) = Parameters::find(&header) {
            // The written form has no control characters, so compare what it is read as.
            let written = read.to_string();
            prop_assert!(!written.chars().any(|c| c.is_control()));
            let again = Parameters::find(&written).unwrap().unwrap();
            prop_assert_eq!(again.to_string(), written);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(header in "\\PC*", prefix in "(libp2p-PeerID )?") {
        let _ = Parameters::find(&format!("{prefix}{header}"));
    }
}
