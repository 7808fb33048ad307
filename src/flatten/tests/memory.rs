//! What a reader remembers from one payload to the next.

use super::*;

#[test]
fn variables_beyond_the_limit_are_named() {
    let mut variables = Variables::new(with(|rules| rules.fields_max = 2));
    flat_with(&mut variables, br#"{"a":1,"b":2,"c":3,"d":{"e":4}}"#).unwrap();
    assert_eq!(variables.lost(Loss::OverLimit), LostNames { names: vec!["c".to_owned(), "d.e".to_owned()], more: 0 });
    flat_with(&mut variables, br#"{"a":1,"b":2,"c":3,"f":4}"#).unwrap();
    assert_eq!(variables.lost(Loss::OverLimit), LostNames { names: vec!["f".to_owned()], more: 0 });
}

/// The rates of the second payload, a second after the first.
fn rates_of(first: &str, second: &str) -> Vec<String> {
    let rates = Globs::new(&["**"]);
    let mut variables = Variables::new(with(|rules| rules.rates = rates));
    flat_at(&mut variables, Duration::from_secs(1), first.as_bytes()).unwrap();
    let (document, _) = flat_at(&mut variables, Duration::from_secs(2), second.as_bytes()).unwrap();
    let is_rate = |member: &&str| member.contains("_per_second");
    document.split(',').filter(is_rate).map(|member| member.trim_start_matches(',').to_owned()).collect()
}

#[test]
fn what_has_namesakes_is_compared_with_itself_only() {
    for (first, second, rates) in [
        (r#"{"hh":{"db":"a","n":1},"hh":{"db":"b","n":100}}"#, r#"{"hh":{"db":"b","n":100}}"#, &[][..]),
        (r#"{"hh":{"n":1}}"#, r#"{"hh":{"n":1},"hh":{"n":2}}"#, &[]),
        (r#"{"a":1,"a":5}"#, r#"{"a":6}"#, &[]),
        (r#"{"a":1,"a":5}"#, r#"{"a":2,"a":7}"#, &[r#""a_per_second":1.0"#, r#""a_per_second#2":2.0"#]),
        // It is in another of the objects.
        (r#"{"hh":{"n":1},"hh":{"m":1}}"#, r#"{"hh":{"m":2},"hh":{"n":3}}"#, &[]),
        (
            r#"{"hh":{"n":1},"hh":{"m":1}}"#,
            r#"{"hh":{"n":3},"hh":{"m":2}}"#,
            &[r#""hh.n_per_second":2.0"#, r#""hh.m_per_second":1.0"#],
        ),
        (r#"{"hh":{"n":1},"hh":{"m":1}}"#, r#"{"hh":{"n":3}}"#, &[]),
        (r#"{"hh":{"x":{"n":1}},"hh":{"x":{"n":5}}}"#, r#"{"hh":{"x":{"n":6}}}"#, &[]),
        // A name is one, wherever its dots come from; a broken value holds it.
        (r#"{"a":{"b":1},"a.b":5}"#, r#"{"a.b":6}"#, &[]),
        (r#"{"a":1,"a":NaN}"#, r#"{"a":2,"a":3}"#, &[r#""a_per_second":1.0"#]),
        (r#"{"a":1,"a":1,2}"#, r#"{"a":2,"a":3}"#, &[r#""a_per_second":1.0"#]),
        // Others come and go.
        (
            r#"{"x":[{"y":1}],"a":1,"z":{"w":1}}"#,
            r#"{"b":7,"x":[{"y":1},{"y":2}],"z":{"v":1,"w":2},"a":2}"#,
            &[r#""z.w_per_second":1.0"#, r#""a_per_second":1.0"#],
        ),
    ] {
        assert_eq!(rates_of(first, second), rates, "{first} {second}");
    }
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let rules = || with(|rules| (rules.rates, rules.fields_max) = (Globs::new(&["**"]), 4));
    let long =
        format!(r#"{{"b":{{"c":1}},"d":2,"e":[{}1]}}"#, "1234567890,".repeat(limits::DOCUMENT_BYTES_MAX / 11 + 1));
    let documents = |refused: Option<&str>| {
        let mut variables = Variables::new(rules());
        let first = flat_at(&mut variables, Duration::from_secs(1), br#"{"a":1,"b":2}"#).unwrap().0;
        if let Some(refused) = refused {
            flat_at(&mut variables, Duration::from_secs(2), refused.as_bytes()).unwrap_err();
        }
        let second = flat_at(&mut variables, Duration::from_secs(3), br#"{"a":3,"b":4}"#).unwrap().0;
        [first, second]
    };
    let expected = documents(None);
    assert_eq!(expected[1], r#""a":3,"a_per_second":1.0,"b":4,"b_per_second":1.0"#);
    for refused in [&long, r#"{"a":null,"x":null,"y":{"z":null}}"#, r#"{"a":5,"z":{"y":1},"x":"a"b"}"#, r#"{"z":1,"#] {
        assert_eq!(documents(Some(refused)), expected, "{}", &refused[..refused.len().min(50)]);
    }
}

#[test]
fn columns_with_too_many_gaps_are_left_out_and_named() {
    let rows: Vec<String> = (0..600).map(|row| format!("{{\"k{row}\":1,\"all\":{row}}}")).collect();
    let mut variables = Variables::new(VariableRules::default());
    let json = format!("{{\"t\":[{}],\"z\":1}}", rows.join(","));
    let (document, report) = flat_with(&mut variables, json.as_bytes()).unwrap();
    let gaps = memchr::memmem::find_iter(document.as_bytes(), b"null").count();
    assert!(gaps > 10_000 && gaps <= limits::GAPS_MAX, "{gaps} gaps");
    assert!(document.contains("\"t.all\":[0,1,2,") && document.ends_with(",\"z\":1"));
    assert!(report.beyond_columns > 100, "{}", report.beyond_columns);
    assert_eq!(variables.lost(Loss::Columns).names.len(), 1);
}
