//! Headless Chromium, driven over its debugging pipe: two FIFOs that it has as descriptors 3 and 4, with JSON in both
//! directions. Whatever goes wrong in a page (an exception, something that the policy forbids) fails the test.
#![allow(clippy::disallowed_methods, reason = "a test has a deadline, and a thread that reads")]

use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything in a browser may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    last_id: u64,
    session: Value,
    problems: Vec<String>,
    _folder: TempDir,
}

impl Browser {
    /// It runs in a machine that is thrown away, maybe as root, so without a sandbox, and asks nobody else.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [commands, messages] = ["commands", "messages"].map(|name| folder.path().join(name));
        assert!(Command::new("mkfifo").args([&commands, &messages]).status().expect("mkfifo starts").success());
        let script = "exec chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
                      --disable-component-update --disable-sync --remote-debugging-pipe --user-data-dir=\"$0/profile\" \
                      3<\"$0/commands\" 4>\"$0/messages\"";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(folder.path());
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sh starts");
        let commands = OpenOptions::new().write(true).open(commands).expect("it is opened on the other side");
        let read = BufReader::new(File::open(messages).expect("it is opened on the other side"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in read.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let (session, problems) = (Value::Null, Vec::new());
        let mut browser = Self { child, commands, messages, last_id: 0, session, problems, _folder: folder };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Calls a method of the browser, and gives its result.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": parameters});
        if !self.session.is_null() {
            command["sessionId"] = self.session.clone();
        }
        let mut text = command.to_string().into_bytes();
        text.push(0);
        self.commands.write_all(&text).expect("it listens");
        loop {
            let mut message =
                self.messages.recv_timeout(PATIENCE).expect("Chromium answers (bash .ci/run installs it)");
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    /// Remembers what went wrong in the page. That a request failed is for the page to show.
    fn note(&mut self, message: &Value) {
        let entry = &message["params"]["entry"];
        let is_problem = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => entry["level"] == "error" && entry["source"] != "network",
            Some("Runtime.consoleAPICalled") => message["params"]["type"] == "error",
            _ => false,
        };
        if is_problem {
            self.problems.push(message["params"].to_string());
        }
    }

    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", &json!({"url": url}));
    }

    /// The value of an expression in the page, once it is there if it is a promise.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut result = self.call("Runtime.evaluate", &parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        assert!(self.problems.is_empty(), "the page has problems: {:#?}", self.problems);
        result["result"]["value"].take()
    }

    pub(crate) fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_owned()
    }

    /// Waits until an expression is true. What it names may not be there yet.
    pub(crate) fn wait(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        let now = format!("(() => {{ try {{ return !!({expression}); }} catch {{ return false; }} }})()");
        while self.value(&now) != true {
            if Instant::now() > deadline {
                let page = self.value("document.body?.innerText ?? ''");
                panic!("it never was so: {expression}; the page is: {page}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let mobile = width < 600;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    pub(crate) fn prefer(&mut self, scheme: &str) {
        let feature = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &feature);
    }

    /// Presses a key that people have on their keyboards.
    pub(crate) fn press(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            _ => 0,
        };
        let mut event = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        match key {
            "Enter" => event["text"] = json!("\r"),
            key if code == 0 => event["text"] = json!(key),
            _ => {}
        }
        self.call("Input.dispatchKeyEvent", &event);
        self.call("Input.dispatchKeyEvent", &json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}));
    }

    /// Types a text into what has the focus.
    pub(crate) fn enter(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    /// Writes what is seen into a PNG file.
    pub(crate) fn screenshot(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", &json!({"format": "png"}));
        let mut decode = Command::new("base64");
        let decode = decode.arg("-d").stdin(Stdio::piped()).stdout(File::create(path).expect("created"));
        let mut decode = decode.spawn().expect("base64 starts");
        let text = shot["data"].as_str().expect("a picture").as_bytes();
        decode.stdin.take().expect("its input").write_all(text).expect("written");
        assert!(decode.wait().expect("it ends").success());
    }

    /// What axe-core finds wrong with the page for people with disabilities, if it is serious.
    pub(crate) fn serious_faults(&mut self) -> Vec<String> {
        let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("page/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(axe).expect("axe-core is there (npm ci in the folder page fetches it)");
        self.value(&format!("window.axe ? 0 : (() => {{ {axe}; return 0; }})()"));
        let found = self.value(
            "axe.run().then(({violations}) => violations.filter(({impact}) => impact === 'serious' || impact === \
             'critical').map(({id, nodes}) => `${id}: ${nodes.map(({html}) => html.slice(0, 200)).join(' | ')}`))",
        );
        let found = found.as_array().expect("a list").iter();
        found.map(|fault| fault.as_str().expect("a text").to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
