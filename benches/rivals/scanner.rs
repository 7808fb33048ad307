//! A plain flattener, written by hand: one pass, byte by byte, with a strict grammar, no repairs, no SIMD and no `unsafe`.
//!
//! Arrays are copied unchanged, even those of objects, which is less work than our columns. It leaves out what the contract
//! leaves out: nulls, the command line, and the allocator's size classes.

/// State that is kept from one body to the next.
#[derive(Default)]
pub(crate) struct Scanner {
    path: Vec<u8>,
    out: Vec<u8>,
}

impl Scanner {
    /// The flat document of `body`, if that is JSON.
    pub(crate) fn flatten(&mut self, body: &[u8]) -> Option<&[u8]> {
        std::str::from_utf8(body).ok()?;
        self.path.clear();
        self.out.clear();
        self.out.push(b'{');
        let mut scan = Scan { body, at: 0, path: &mut self.path, out: &mut self.out };
        scan.blanks();
        scan.members(64)?;
        scan.blanks();
        if scan.at < body.len() {
            return None;
        }
        self.out.push(b'}');
        Some(&self.out)
    }
}

/// The state of one pass. Whatever finds no JSON gives `None`.
struct Scan<'a> {
    body: &'a [u8],
    at: usize,
    path: &'a mut Vec<u8>,
    out: &'a mut Vec<u8>,
}

impl Scan<'_> {
    /// The byte at hand; a zero, which no grammar wants, behind the end.
    fn peek(&self) -> u8 {
        self.body.get(self.at).copied().unwrap_or(0)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek() == byte).then(|| self.at += 1)
    }

    /// Goes over `,` to the next element, or over `end`; says which.
    fn is_last(&mut self, end: u8) -> Option<bool> {
        self.blanks();
        let byte = self.peek();
        self.at += 1;
        (byte == b',' || byte == end).then_some(byte == end)
    }

    /// An object, its members written.
    fn members(&mut self, depth: usize) -> Option<()> {
        self.expect(b'{')?;
        self.blanks();
        if self.peek() == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.blanks();
            let start = self.at + 1;
            self.string()?;
            let body = self.body;
            let name = &body[start..self.at - 1];
            self.blanks();
            self.expect(b':')?;
            self.blanks();
            self.member(name, depth)?;
            if self.is_last(b'}')? {
                return Some(());
            }
        }
    }

    fn member(&mut self, name: &[u8], depth: usize) -> Option<()> {
        if (self.path.is_empty() && name == b"cmdline") || (self.path == b"memstats" && name == b"BySize") {
            return self.skip(depth);
        }
        let path_bytes = self.path.len();
        if path_bytes > 0 {
            self.path.push(b'.');
        }
        self.path.extend_from_slice(name);
        if self.peek() == b'{' {
            self.members(depth.checked_sub(1)?)?;
        } else {
            let start = self.at;
            self.skip(depth)?;
            let token = &self.body[start..self.at];
            if token != b"null" {
                self.out.extend_from_slice(if self.out.len() > 1 { b",\"" } else { b"\"" });
                self.out.extend_from_slice(self.path);
                self.out.extend_from_slice(b"\":");
                self.out.extend_from_slice(token);
            }
        }
        self.path.truncate(path_bytes);
        Some(())
    }

    /// Any value, checked and not written.
    fn skip(&mut self, depth: usize) -> Option<()> {
        match self.peek() {
            b'"' => self.string(),
            b'{' => self.container(depth.checked_sub(1)?, b'}'),
            b'[' => self.container(depth.checked_sub(1)?, b']'),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number(),
        }
    }

    fn container(&mut self, depth: usize, end: u8) -> Option<()> {
        self.at += 1;
        self.blanks();
        if self.peek() == end {
            self.at += 1;
            return Some(());
        }
        loop {
            self.blanks();
            if end == b'}' {
                self.string()?;
                self.blanks();
                self.expect(b':')?;
                self.blanks();
            }
            self.skip(depth)?;
            if self.is_last(end)? {
                return Some(());
            }
        }
    }

    fn literal(&mut self, word: &[u8]) -> Option<()> {
        self.body[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    fn string(&mut self) -> Option<()> {
        self.expect(b'"')?;
        loop {
            let byte = self.peek();
            self.at += 1;
            match byte {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let byte = self.peek();
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.body.get(self.at..self.at + 4)?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<()> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}
