use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Lists with an object whose key has a meaning for serde_json, and whose text holds such lists again. The escapes are chosen so
/// that they do not double with each level.
fn bomb(levels: usize) -> String {
    (0..levels).fold("1".to_owned(), |inner, _| {
        let text = inner.replace('\\', "\\u005c").replace('"', "\\u0022");
        let object = format!("{{\"$serde_json::private::RawValue\":\"{text}\"}}");
        ["[".repeat(120), object, "]".repeat(120)].concat()
    })
}

fn parse(text: &str) -> Result<Document, Error> {
    Document::parse(&Bytes::from(text.to_owned()))
}

fn document(text: &str) -> Document {
    parse(text).expect(text)
}

#[test]
fn keys_have_no_meaning_of_their_own() {
    for text in [
        r#"{"$serde_json::private::Number":"1"}"#,
        r#"{"$serde_json::private::RawValue":"[1]"}"#,
        r#"{"$serde_json::private::RawValue":1,"a":2}"#,
    ] {
        let document = document(text);
        assert_eq!((document.bytes().as_ref(), document.to_string().as_str()), (text.as_bytes(), text));
        assert!(document.is_object());
    }
    let bomb = bomb(34);
    assert!(bomb.len() < 32_768, "{}", bomb.len());
    let document = document(&bomb);
    assert_eq!((document.depth(), document.bytes().as_ref()), (121, bomb.as_bytes()));
    assert_eq!(parse(&document.to_string()).map(|again| again.depth()), Ok(121));
}

#[test]
fn one_depth_is_the_most() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
        let deepest = document(&nested(MAX_DEPTH));
        assert_eq!(deepest.depth(), MAX_DEPTH);
        for depth in [MAX_DEPTH + 1, 100_000] {
            assert_eq!(parse(&nested(depth)), Err(Error::TooDeep), "{depth}");
        }
    }
    assert_eq!(document(&format!("[\"{}\"]", "[".repeat(500))).depth(), 1);
    assert_eq!(
        read::<Vec<u8>>("[".repeat(200_000).as_bytes()).map_err(|error| matches!(error, Error::Syntax(_))),
        Err(true)
    );
}

#[test]
fn fields_are_slices_of_the_text() {
    let text = " {\"a\" : 1.0e+400 ,\n\"\\u0061b\":\"\\ud83d\\ude00 \\\"}\", \"a\":\t[ {\"a\":0} ] , \"\":null,\"l\":\"\\ud800\"} ";
    let document = document(text);
    assert!(text.trim().as_bytes() == document.bytes());
    let field =
        |name: &str| document.field(name).map(|value| String::from_utf8_lossy(value.bytes()).into_owned());
    assert_eq!(field("a").as_deref(), Some("[ {\"a\":0} ]"), "the last one counts");
    assert_eq!(document.field("ab").and_then(|value| value.text()).as_deref(), Some("\u{1f600} \"}"));
    assert_eq!((field("").as_deref(), document.present_field("")), (Some("null"), None));
    assert_eq!(document.field("l").and_then(|value| value.text()), None, "half a surrogate pair");
    assert_eq!((field("0"), field("b")), (None, None));
    assert_eq!(
        document.to_string(),
        "{\"a\":1.0e+400,\"ab\":\"\u{1f600} \\\"}\",\"a\":[{\"a\":0}],\"\":null,\"l\":\"\\ud800\"}"
    );
    for (text, end) in [("{}", None), ("[1]", None), ("\"a\"", None), ("{\"a\":{}}", Some("{}"))] {
        assert_eq!(
            parse(text).expect(text).field("a").map(|value| value.to_string()).as_deref(),
            end,
            "{text}"
        );
    }
}

#[test]
fn other_encodings_are_named() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    for (text, word) in [
        (utf16("\u{feff}{}"), "UTF-16"),
        (utf16("{}"), "UTF-16"),
        ("{}".encode_utf16().flat_map(u16::to_be_bytes).collect(), "UTF-16"),
        (b"\x1f\x8b\x08\0\0".to_vec(), "gzip"),
        (b"{\"a\":\"\xff\"}".to_vec(), "6"),
        (Vec::new(), "EOF"),
        (b"{\"a\":1} {}".to_vec(), "trailing"),
    ] {
        let error = Document::parse(&text.clone().into()).expect_err("it is no JSON in UTF-8").to_string();
        assert!(error.contains(word), "{text:?}: {error}");
    }
    assert_eq!(parse("\u{feff}{}").expect("a mark of UTF-8 is left out").bytes(), "{}");
    assert_eq!(read::<u8>("\u{feff}7".as_bytes()), Ok(7));
}

/// The order of a struct's fields in the code is nothing that people may send.
#[test]
fn a_list_is_no_object() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Pair {
        first: u8,
        second: u8,
    }
    assert_eq!(read_object(b" {\"first\": 1, \"second\": 2}"), Ok(Pair { first: 1, second: 2 }));
    assert_eq!(read_object::<Pair>(b"[1, 2]"), Err(Error::NotObject));
    assert_eq!(Error::NotObject.to_string(), "it is not an object");
    assert!(matches!(read_object::<Pair>(b"[1, "), Err(Error::Syntax(_))));
}

#[test]
fn a_request_of_the_wrong_form_is_told_its_field() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        inner: Vec<u8>,
        share: u8,
    }
    for (text, words) in [
        (r#"{"inner": [1], "share": "half"}"#, &["the field share: ", "expected u8"][..]),
        (r#"{"inner": [1, -1], "share": 1}"#, &["the field inner[1]: ", "expected u8"]),
        (r#"{"inner": [1], "share": 300}"#, &["the field share: ", "300"]),
        (r#"{"inner": [1], "shard": 1}"#, &["the field shard: ", "expected `inner` or `share`"]),
        (r#"{"inner": [1]}"#, &["missing field `share`"]),
    ] {
        let error = read_object::<Outer>(text.as_bytes()).expect_err(text);
        assert!(matches!(error, Error::Form(_)), "{error:?}");
        for word in words {
            assert!(error.to_string().contains(word), "{text}: {error}");
        }
    }
    let deep = format!("{{\"inner\": {}{}}}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert_eq!(read_object::<Outer>(deep.as_bytes()), Err(Error::TooDeep));
}

#[test]
fn the_items_of_a_list_keep_their_bytes() {
    for (text, expected) in [
        ("[]", &[][..]),
        (" [ ] ", &[]),
        ("[1.10]", &["1.10"]),
        (r#"[ {"a": [1, 2]} , "],[" ,null, [] ]"#, &[r#"{"a": [1, 2]}"#, r#""],[""#, "null", "[]"]),
        (r#"{"a": [1]}"#, &[]),
        ("7", &[]),
    ] {
        let items = document(text).items().map(|item| item.bytes().clone()).collect::<Vec<_>>();
        assert_eq!(items, expected, "{text}");
    }
}

/// Texts of which many are JSON or almost.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        "\u{feff}", "{", "}", "[", "]", "\"a\"", ":", ",", "1", "null", " ", "\n", "\0", "\u{e9}",
    ]);
    prop_oneof![vec(token, 0..6).prop_map(|tokens| tokens.concat().into_bytes()), vec(any::<u8>(), 0..12),]
}

proptest! {
    /// Who only asks whether a text is JSON passes it on as it is, and a mark is no JSON.
    #[test]
    fn what_is_json_is_a_document_and_the_other_way_round_without_a_mark(text in texts()) {
        let document = Document::parse(&Bytes::from(text.clone()));
        let rest = text.strip_prefix(UTF8_MARK);
        prop_assert_eq!(document.is_ok(), is_json(rest.unwrap_or(&text)));
        prop_assert!(rest.is_none() || !is_json(&text));
        if let Ok(document) = document {
            prop_assert!(is_json(document.bytes()));
        }
    }
}
