use super::{Hidden, KNOWN, Secret, hide, quote};
use forms::{FORMS, Telltales, percent, repeated};
use proptest::prelude::*;

#[path = "../../tests/support/secret_forms.rs"]
mod forms;

fn hiding(secrets: &[&str]) -> Hidden {
    Hidden::new(secrets.iter().map(|text| Secret::of(text)).collect())
}

fn hidden(text: &str) -> String {
    let mut text = text.to_owned();
    hide(&mut text);
    text
}

#[test]
fn a_secret_is_hidden_in_each_form() {
    let _hidden = hiding(&["p\u{e4} \"s+\\w<o>/rd&hunter2", "bWU6cMOkICJzK1x3"]);
    for form in [
        "p\u{e4} \"s+\\w<o>/rd&hunter2",
        "P\u{c4} \"S+\\W<O>/RD&HUNTER2",
        r#"p\u00e4 \"s+\\w<o>\/rd&hunter2"#,
        r#"p\u00E4 \"s+\\w\u003co\u003e/rd\u0026hunter2"#,
        r#"p\\u00e4 \\\"s+\\\\w<o>\/rd&hunter2"#,
        "p%C3%A4%20%22s%2B%5Cw%3Co%3E%2Frd%26hunter2",
        "p%c3%a4+%22s%2b%5cw%3co%3e%2frd%26hunter2",
        "p%25C3%25A4%2520%2522s%252B%255Cw%253Co%253E%252Frd%2526hunter2",
        "%70%C3%A4 \"s+\\w%3Co>/rd&%68unter2",
        "p\u{e4} &quot;s+\\w&lt;o&gt;/rd&amp;hunter2",
        "p&#228; &#34;s+\\w&#x3C;o&#x3e;/rd&#38;hunter2",
        "p\u{c3}\u{a4} \"s+\\w<o>/rd&hunter2",
        "p\u{fffd} \"s+\\w<o>/rd&hunter2",
        "p%E4%20%22s%2B%5Cw%3Co%3E%2Frd%26hunter2",
        "p\\xc3\\xa4 \\\"s+\\\\w<o>/rd&hunter2",
        "\0p\0\u{e4}\0 \0\"\0s\0+\0\\\0w\0<\0o\0>\0/\0r\0d\0&\0h\0u\0n\0t\0e\0r\x002\0",
        "bWU6cMOkICJzK1x3",
        "bWU6cMOkICJz\r\nK1x3",
        "bwu6cmokicjzk1x3",
        "bWU6cMOkICJz%4B1x3",
        // Encoded alone, and after two bytes or one byte of other text.
        "cMOkICJzK1x3PG8+L3JkJmh1bnRlcjI",
        "OkICJzK1x3PG8-L3JkJmh1bnRlcjI=",
        "pCAicytcdzxvPi9yZCZodW50ZXIy",
    ] {
        let left = hidden(&format!("<{form}>"));
        let plain = left.replace(['<', '>', '\0'], "");
        assert!(plain.contains("***") && plain.len() <= "***".len() + 4, "{form} became {left}");
    }
    assert_eq!(hidden("nothing to hide in %41 \\u0041 &amp; here"), "nothing to hide in %41 \\u0041 &amp; here");
}

#[test]
fn what_looks_like_an_escape_in_a_secret_is_found_as_well() {
    for secret in ["100%41percent", "C:\\new\\table", "a&amp;b&lt;c;d", "\\u0041\\u0042cd", "%%41%2541%%"] {
        let _hidden = hiding(&[secret]);
        for form in [
            secret.to_owned(),
            serde_json::to_string(secret).unwrap(),
            format!("{secret:?}"),
            percent(secret, &mut |_| 1),
        ] {
            let left = hidden(&format!("is {form} wrong?"));
            assert!(left.contains("***") && left.len() <= "is \"\\***\\\" wrong?".len(), "{form} became {left}");
        }
    }
}

#[test]
fn short_secrets_are_hidden_where_they_are_words() {
    let _hidden = hiding(&["xce", "elastic", "#pw+"]);
    for (text, left) in [
        ("security_exception", "security_exception"),
        ("xce is too short to be hidden: xce", "xce is too short to be hidden: xce"),
        ("elasticsearch has elastic_1, not elastic", "elasticsearch has elastic_1, not ***"),
        ("user [elastic]\nelastic", "user [***]\n***"),
        (r"line\nelastic\nline", r"line\n***\nline"),
        ("u=%20elastic%2F", "u=%20***%2F"),
        ("x#pw+x \u{201d}elastic\u{201d}", "x***x \u{201d}***\u{201d}"),
        ("the end is elast", "the end is ***"),
        ("the end is xelast", "the end is xelast"),
        ("the end is ela", "the end is ela"),
    ] {
        assert_eq!(hidden(text), left);
    }
}

#[test]
fn what_is_cut_off_shows_no_beginning() {
    let _hidden = hiding(&["hunter2-correct-horse\u{e4}"]);
    for (text, left) in [
        ("cut: hunt\u{2026}", "cut: ***\u{2026}"),
        ("cut: hunter2-\u{2026}", "cut: ***\u{2026}"),
        ("cut: hun\u{2026}", "cut: hun\u{2026}"),
        ("cut: hunter2-correct-horse\u{fffd}", "cut: ***"),
        ("cut: hunter2%2", "cut: ***"),
        (r"cut: hunter\u003", "cut: ***"),
        ("cut: hunte&#5", "cut: ***"),
        ("cut: hunter...", "cut: ***"),
        ("\u{2026}", "\u{2026}"),
        ("", ""),
    ] {
        assert_eq!(hidden(text), left);
    }
}

#[test]
fn only_secrets_that_are_in_use_are_hidden() {
    let first = hiding(&["correct-horse"]);
    let second = hiding(&["battery-staple", "correct-horse"]);
    assert_eq!(hidden("correct-horse battery-staple"), "*** ***");
    drop(second);
    assert_eq!(hidden("correct-horse battery-staple"), "*** battery-staple");
    drop(first);
    assert_eq!(hidden("correct-horse battery-staple"), "correct-horse battery-staple");
    for _ in 0..1000 {
        hiding(&["hunter2-hunter2"]);
    }
    KNOWN.with_borrow(|known| assert!(known.secrets.len() < 10, "{} are remembered", known.secrets.len()));
}

#[test]
fn credentials_of_others_are_secrets_too() {
    let _proxy = Hidden::of_url("http://me:corr%65ct-horse@proxy:3128/");
    assert_eq!(hidden("correct-horse bWU6Y29ycmVjdC1ob3JzZQ== me proxy"), "*** *** me proxy");
    // In base64, as an API key or in a header field of the user's.
    let _header = hiding(&["Basic bWU6YmF0dGVyeS1zdGFwbGU="]);
    assert_eq!(hidden("me battery-staple"), "me ***");
    assert!(Hidden::of_url("http://proxy:3128").0.is_none());
}

#[test]
fn quotes_are_bounded_and_cut_behind_what_is_hidden() {
    let _hidden = hiding(&["hunter2-correct-horse-battery"]);
    assert_eq!(quote(b"short", 300), "short");
    assert_eq!(quote(&[b'x'; 301], 300), format!("{}\u{2026}", "x".repeat(300)));
    assert_eq!(quote("\u{e4}".repeat(200).as_bytes(), 301), format!("{}\u{2026}", "\u{e4}".repeat(150)));
    assert!(quote(&[0xff; 5000], 300).len() <= 303);
    for before in 0..400 {
        let text = format!("{}hunter2-correct-horse-battery is wrong", "x".repeat(before));
        let quoted = quote(text.as_bytes(), 300);
        assert!(!quoted.contains("hun") && quoted.len() <= 303, "{quoted}");
    }
    // A secret long after the end of the quote is not searched for.
    assert_eq!(quote(&vec![b'\\'; 10 << 20], 10), "\\\\\\\\\\\\\\\\\\\\\u{2026}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    /// Random secrets in random texts, in every form, cut anywhere by the server or by the quote.
    #[test]
    fn no_text_tells_a_secret(
        secrets in prop::collection::vec("[ -~äß€😀]{8,40}", 1..4),
        around in prop::collection::vec("[ -~\n\u{e4}]{0,60}", 2..5),
        forms in prop::collection::vec(0..FORMS, 4),
        numbers in prop::collection::vec(0..1000_usize, 50),
        (cut, shown) in (0..600_usize, 0..300_usize),
    ) {
        // A secret that consists only of escapes and ignored characters is too short once it is decoded.
        let is_long = |text: &String| text.chars().filter(|c| !matches!(c, '\\')).count() >= 8;
        prop_assume!(secrets.iter().all(is_long));
        let mut at = 0;
        let mut draw = |end: usize| {
            at += 1;
            numbers[at % numbers.len()] % end
        };
        let (mut text, mut planted) = (String::new(), Vec::new());
        for (place, around) in around.iter().enumerate() {
            text.push_str(around);
            planted.push(repeated(&secrets[place % secrets.len()], forms[place % forms.len()], &mut draw));
            text.push_str(planted.last().unwrap());
        }
        let _hidden = hiding(&secrets.iter().map(String::as_str).collect::<Vec<_>>());
        let bytes = &text.as_bytes()[..text.len().min(cut.max(1))];
        let quoted = quote(bytes, shown);
        for form in &planted {
            let most: String = form.chars().take(form.chars().count() * 9 / 10).collect();
            prop_assert!(!quoted.contains(&most), "{:?}\nin {:?}", form, quoted);
        }
        let telltales = Telltales::of(&secrets);
        let by_chance = around.iter().any(|around| telltales.find(around).is_some());
        if !by_chance {
            prop_assert_eq!(telltales.find(&quoted), None, "in {:?}\nof {:?}", quoted, text);
        }
    }

    /// A text without secrets is not changed.
    #[test]
    fn other_texts_stay_as_they_are(text in "\\PC{0,200}") {
        let _hidden = hiding(&["hunter2-correct-horse\u{e4}"]);
        prop_assert_eq!(hidden(&text), text);
    }
}
