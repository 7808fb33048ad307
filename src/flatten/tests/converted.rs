//! Texts that become numbers, and arrays that become objects by a key.

use super::*;

fn texts(patterns: &[(&str, &str)]) -> VariableRules {
    let pattern = |(pattern, unit): &(&str, &str)| ((*pattern).to_owned(), TextUnit::named(unit).expect("a unit"));
    with(|rules| rules.texts = TextUnits::new(&patterns.iter().map(pattern).collect::<Vec<_>>()))
}

fn keyed(arrays: &[(&str, &str)]) -> VariableRules {
    let one = |(array, member): &(&str, &str)| KeyedArray { array: (*array).to_owned(), member: (*member).to_owned() };
    with(|rules| rules.keyed_arrays = arrays.iter().map(one).collect())
}

/// The members of the documents of payloads that come one second after the other.
fn seconds(rules: VariableRules, payloads: &[&str]) -> Vec<String> {
    let mut variables = Variables::new(rules);
    let polled = (0..).map(Duration::from_secs).zip(payloads);
    polled.map(|(polled, json)| flat_at(&mut variables, polled, json.as_bytes()).expect(json).0).collect()
}

/// What a first payload becomes, and its report.
fn first(rules: &VariableRules, json: &str) -> (String, Report) {
    flat_with(&mut Variables::new(rules.clone()), json.as_bytes()).expect(json)
}

#[test]
fn texts_become_numbers_where_the_rules_say_so() {
    let rules = texts(&[("uptime", "ns"), ("*.latency", "ms"), ("ratio", "number"), ("disk", "B"), ("t.**", "s")]);
    for (json, members, unconverted) in [
        (
            r#"{"uptime":"72h3m0.5s","a":{"latency":"1.5s","x":"1s"},"ratio":"1.10","disk":"512MiB","other":"1"}"#,
            r#""uptime":259380500000000,"a.latency":1500.0,"a.x":"1s","ratio":1.10,"disk":536870912,"other":"1""#,
            0,
        ),
        // What is no text stays as it is.
        (
            r#"{"uptime":5,"ratio":true,"disk":null,"a":{"latency":1.5}}"#,
            r#""uptime":5,"ratio":true,"a.latency":1.5"#,
            0,
        ),
        // What is no quantity stays a text.
        (r#"{"uptime":"soon","ratio":"n/a","disk":"1GB"}"#, r#""uptime":"soon","ratio":"n/a","disk":1000000000"#, 2),
        // Integers beyond 64 bits.
        (r#"{"ratio":"18446744073709551615"}"#, r#""ratio":18446744073709551615.0"#, 0),
        // Everything in an object, arrays, and arrays in arrays.
        (
            r#"{"t":{"a":"1s","b":{"c":"2ms"},"d":["1s","2s",null,3]}}"#,
            r#""t.a":1.0,"t.b.c":0.002,"t.d":[1.0,2.0,null,3]"#,
            0,
        ),
        (r#"{"uptime":["1ns",["2ns"],[]]}"#, r#""uptime":[1,[2],[]]"#, 0),
        // All texts of an array, or none.
        (r#"{"uptime":["1ns", "x" ]}"#, r#""uptime":["1ns", "x" ]"#, 1),
        (r#"{"uptime":[1, "x" ]}"#, r#""uptime":"[1,\"x\"]""#, 1),
        // Columns.
        (
            r#"{"t":[{"a":"1s","n":"x"},{"a":"2s","n":"2s"},{"b":1}]}"#,
            r#""t.a":[1.0,2.0,null],"t.n":["x","2s",null],"t.b":[null,null,1]"#,
            1,
        ),
    ] {
        let (found, report) = first(&rules, json);
        assert_eq!((found.as_str(), report.unconverted), (members, unconverted), "{json}");
    }
    let (_, report) = first(&rules, r#"{"uptime":"1s","ratio":"x"}"#);
    assert_eq!((report.numbers, report.strings), (1, 1), "a text counts as what it is in the document");
}

#[test]
fn texts_that_are_no_numbers_are_named_once() {
    let rules = texts(&[("**", "number")]);
    let mut variables = Variables::new(rules);
    let json = br#"{"a":"x","b":{"c":"y","d":"1"},"e":[{"f":"1"},{"f":"z"}],"g":["1","?"]}"#;
    for names in [&["a", "b.c", "e.f", "g"][..], &[]] {
        assert_eq!(flat_with(&mut variables, json).unwrap().1.unconverted, 4);
        assert_eq!(variables.lost(Loss::Unconverted).names, names);
        assert_eq!(variables.lost(Loss::Broken).names, Vec::<String>::new());
    }
    // A value that is broken later is a loss of its own.
    let broken = br#"{"a":?,"b":{"c":"y","d":"1"},"e":[{"f":"1"},{"f":"z"}],"g":["1","?"]}"#;
    assert_eq!(flat_with(&mut variables, broken).unwrap().1.broken, 1);
    assert_eq!(variables.lost(Loss::Broken).names, ["a"]);
}

#[test]
fn converted_counters_have_rates() {
    let mut rules = texts(&[("up", "s"), ("n", "number")]);
    rules.rates = Globs::new(&["up", "n"]);
    let found = seconds(rules, &[r#"{"up":"1m0.5s","n":"5"}"#, r#"{"up":"1m2s","n":"7"}"#, r#"{"up":"?","n":8}"#]);
    assert_eq!(
        found,
        [
            r#""up":60.5,"n":5"#,
            r#""up":62.0,"up_per_second":1.5,"n":7,"n_per_second":2.0"#,
            r#""up":"?","n":8,"n_per_second":1.0"#
        ]
    );
}

#[test]
fn an_array_becomes_an_object_by_a_key() {
    let rules = keyed(&[("Gauges", "Name"), ("a.b", "id")]);
    for (json, members, unkeyed) in [
        (
            r#"{"Gauges":[{"Name":"consul.runtime.alloc_bytes","Value":1,"Labels":{}},{"Value":2,"Name":"x"}],"y":1}"#,
            r#""Gauges.consul.runtime.alloc_bytes.Value":1,"Gauges.x.Value":2,"y":1"#,
            0,
        ),
        (
            r#"{"a":{"b":[{"id":"k","v":{"w":[1,2]},"o":[{"p":1},{"p":2}]}]}}"#,
            r#""a.b.k.v.w":[1,2],"a.b.k.o.p":[1,2]"#,
            0,
        ),
        // Without the member, with another kind of it, with two, or no object.
        (
            r#"{"Gauges":[{"Value":1},{"Name":5,"Value":1},{"Name":null},{"Name":"a","Name":"b"},3,"t",null,[{"Name":"q"}],{"Name":"z","Value":9}]}"#,
            r#""Gauges.z.Value":9"#,
            8,
        ),
        // A key that is there already.
        (
            r#"{"Gauges":[{"Name":"a","v":1},{"Name":"a","v":2},{"Name":"b","v":3}]}"#,
            r#""Gauges.a.v":1,"Gauges.b.v":3"#,
            1,
        ),
        (r#"{"Gauges":[{"Name":"a","v":1},{"Name":"\u0061","v":2}]}"#, r#""Gauges.a.v":1"#, 1),
        // Deeper members of the same name are others; the key may be escaped.
        (
            r#"{"Gauges":[{"v":{"Name":"deep"},"N\u0061me":"q\"é"},{"Name":"","v":1}]}"#,
            r#""Gauges.q\"é.v.Name":"deep","Gauges._.v":1"#,
            0,
        ),
        // What is no array of objects is shipped as ever.
        (r#"{"Gauges":[1,2],"a":{"b":"text"}}"#, r#""Gauges":[1,2],"a.b":"text""#, 0),
        (r#"{"Gauges":{"x":{"Name":"n"}},"z":[{"Name":"n"}]}"#, r#""Gauges.x.Name":"n","z.Name":["n"]"#, 0),
        // Names that are equal to others get marks, as anywhere.
        (r#"{"Gauges":[{"Name":"a","b.c":1},{"Name":"a.b","c":2}]}"#, r#""Gauges.a.b.c":1,"Gauges.a.b.c#2":2"#, 0),
    ] {
        let (found, report) = first(&rules, json);
        assert_eq!((found.as_str(), report.unkeyed), (members, unkeyed), "{json}");
    }
}

#[test]
fn rules_apply_to_members_by_key_as_to_any() {
    let mut rules = keyed(&[("G", "n")]);
    rules.choice = Choice::default().replaced(None, Some(&["G.secret.**", "**.x"]));
    rules.rates = Globs::new(&["G.*.v"]);
    rules.renames = Renames::new(vec![("G.a".to_owned(), "first".to_owned())]);
    let pattern = ("G.*.t".to_owned(), TextUnit::named("ms").expect("a unit"));
    rules.texts = TextUnits::new(&[pattern]);
    rules.fields_max = 5;
    let payload = |value| {
        format!(
            r#"{{"G":[{{"n":"secret","v":1}},{{"n":"a","v":{value},"t":"1s","x":1}},{{"n":"b","v":1,"w":1,"z":1}}]}}"#
        )
    };
    let found = seconds(rules, &[&payload(1), &payload(4)]);
    assert_eq!(
        found,
        [
            r#""first.v":1,"first.t":1000.0,"G.b.v":1"#,
            r#""first.v":4,"first.v_per_second":3.0,"first.t":1000.0,"G.b.v":1,"G.b.v_per_second":0.0"#,
        ]
    );
}

#[test]
fn arrays_by_key_may_change_from_payload_to_payload() {
    let mut variables = Variables::new(keyed(&[("G", "n")]));
    for (json, members) in [
        (r#"{"G":[],"z":1}"#, r#""G":[],"z":1"#),
        (r#"{"G":[{"n":"a","v":1},{"n":"b","v":2}],"z":1}"#, r#""G.a.v":1,"G.b.v":2,"z":1"#),
        (r#"{"G":[{"n":"b","v":3},{"n":"a","v":4}],"z":1}"#, r#""G.b.v":3,"G.a.v":4,"z":1"#),
        (r#"{"G":[{"n":"b","v":3},{"n":"b","v":4}],"z":1}"#, r#""G.b.v":3,"z":1"#),
        (r#"{"G":[{"v":3}],"z":1}"#, r#""z":1"#),
        (r#"{"G":null,"z":1}"#, r#""z":1"#),
        (r#"{"G":{"b":{"v":5}},"z":1}"#, r#""G.b.v":5,"z":1"#),
        (r#"{"G":[{"n":"b","v":6}],"z":1}"#, r#""G.b.v":6,"z":1"#),
        (r#"{"G":"gone","z":1}"#, r#""G._value":"gone","z":1"#),
    ] {
        for _ in 0..2 {
            assert_eq!(flat_with(&mut variables, json.as_bytes()).expect(json).0, members, "{json}");
        }
    }
    assert_eq!(variables.lost(Loss::Unkeyed).names, ["G"]);
}

/// Whatever stands in the place of an element or a key, the next variable arrives whole.
#[test]
fn broken_elements_do_not_take_others_with_them() {
    let rules = keyed(&[("G", "n")]);
    for (element, members) in [
        ("?", ""),
        (r#"{"n":?}"#, ""),
        (r#"{"n":"a","v":?}"#, ""),
        (r#"{"n":"\x","v":1}"#, ""),
        (r#"{"n":"a","v":1,"w":?}"#, r#""G.a.v":1,"#),
        (r#"{"n":"a\ud800","v":1}"#, "\"G.a\u{fffd}.v\":1,"),
    ] {
        let json = format!(r#"{{"G":[{element},{{"n":"b","v":2}}],"z":1}}"#);
        let (found, report) = first(&rules, &json);
        assert_eq!(found, format!(r#"{members}"G.b.v":2,"z":1"#), "{json}");
        assert!(report.unkeyed + report.broken == 1 || members.contains('\u{fffd}'), "{json}: {report:?}");
    }
}
