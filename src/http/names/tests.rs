use super::*;

#[test]
fn families_take_turns_beginning_with_the_first() {
    let turns = |addresses: &[&str]| -> Vec<String> {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        in_turns(&addresses).iter().map(IpAddr::to_string).collect()
    };
    assert_eq!(turns(&["::1", "::2", "::3", "10.0.0.1"]), ["::1", "10.0.0.1", "::2", "::3"]);
    assert_eq!(turns(&["10.0.0.1", "::1", "10.0.0.2", "::2"]), ["10.0.0.1", "::1", "10.0.0.2", "::2"]);
    assert_eq!(turns(&["10.0.0.2", "10.0.0.1"]), ["10.0.0.2", "10.0.0.1"]);
}

#[test]
fn the_words_of_resolvers_are_understood() {
    let explained = |words: &str| {
        explained(&io::Error::other(format!("failed to lookup address information: {words}"))).to_string()
    };
    assert_eq!(explained("Name or service not known"), "the name has no address");
    assert_eq!(explained("Temporary failure in name resolution"), "no answer from the name server");
    assert_eq!(explained("Try again"), "no answer from the name server");
    assert_eq!(explained("Non-recoverable failure in name resolution"), "Non-recoverable failure in name resolution");
}

fn deadline() -> Instant {
    clock::now() + Duration::from_secs(60)
}

/// The name `localhost` is known to each resolver; `localhost.` is not answered from a list of our own.
#[test]
fn a_name_is_looked_up_once_for_all_who_wait_and_then_remembered() {
    let names = Names::default();
    let host = "ip6-localhost";
    event_loop::block_on(async {
        let minute = Duration::from_secs(60);
        let (one, other) =
            smol::future::zip(names.resolve(host, minute, deadline()), names.resolve(host, minute, deadline())).await;
        assert_eq!(one, other);
        let Ok(Resolved { addresses, is_fresh: true }) = one else { return };
        let again = names.resolve(host, minute, deadline()).await;
        assert_eq!(again, Ok(Resolved { addresses, is_fresh: false }));
        names.forget(host);
        assert!(names.resolve(host, minute, deadline()).await.is_ok_and(|resolved| resolved.is_fresh));
    })
    .unwrap();
}

#[test]
fn the_address_that_has_accepted_is_the_first_to_be_tried() {
    let names = Names::default();
    let addresses: Vec<IpAddr> = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|one| one.parse().unwrap()).to_vec();
    names.store("es", addresses.clone(), clock::now());
    names.prefer("es", addresses[2]);
    let known = names.known("es", clock::now()).unwrap();
    assert_eq!(known, [addresses[2], addresses[0], addresses[1]]);
}

#[test]
fn a_failure_is_not_remembered_and_names_the_cause() {
    let names = Names::default();
    event_loop::block_on(async {
        for _ in 0..2 {
            let failed = names.resolve("no-such-host.invalid", Duration::from_secs(60), deadline()).await;
            assert!(matches!(failed, Err(NameError::Unknown | NameError::NoAnswer)), "{failed:?}");
            assert!(names.known.borrow().is_empty());
        }
    })
    .unwrap();
}

#[test]
fn a_lookup_that_hangs_holds_up_nobody_else() {
    let names = Names::default();
    let hung: Arc<Lookup> = Arc::default();
    let name = |host: &str| Name {
        host: host.to_owned(),
        addresses: Vec::new(),
        resolved_at: None,
        lookup: Some(Arc::clone(&hung)),
    };
    names.known.borrow_mut().push(name("hangs"));
    event_loop::block_on(async {
        let short = Duration::from_millis(1);
        let late = names.resolve("hangs", short, clock::now() + short).await;
        assert_eq!(late, Err(NameError::TimedOut(short)));
        assert_eq!(names.known.borrow().len(), 1, "it goes on");
        // When it ends after all, the next one that asks gets what it has found.
        hung.end(Ok(vec!["10.0.0.1".parse().unwrap()]));
        assert!(Arc::ptr_eq(&names.lookup("hangs").unwrap(), &hung));
        assert!(hung.is_useful(clock::now()) && !hung.is_useful(clock::now() + limits::NAME_AGE_MAX), "for a while");
        let resolved = names.resolve("hangs", short, deadline()).await.unwrap();
        assert_eq!(resolved.addresses.len(), 1);
    })
    .unwrap();
    // One that ended long ago is of no use, and is not kept for a name that nobody asks for again.
    names.known.borrow_mut().push(name("nobody asks"));
    assert_eq!(names.known("hangs", clock::now() + limits::NAME_AGE_MAX), None);
    assert!(names.known.borrow().is_empty());
    let many =
        (0..limits::LOOKUPS_MAX).map(|number| Name { lookup: Some(Arc::default()), ..name(&number.to_string()) });
    names.known.borrow_mut().extend(many);
    assert_eq!(names.lookup("one more").unwrap_err(), NameError::TooMany);
}
