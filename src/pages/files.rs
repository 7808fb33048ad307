//! The files of the live page, which `page/build.mjs` makes and compresses. They are in the binary as they are sent to
//! browsers, all of which accept gzip, and come into memory when they are requested.

/// A file of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    Page,
    Style,
    Script,
}

impl File {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Page => "text/html; charset=utf-8",
            Self::Style => "text/css; charset=utf-8",
            Self::Script => "text/javascript; charset=utf-8",
        }
    }

    /// Its text, compressed by gzip.
    pub(super) fn packed(self) -> &'static [u8] {
        match self {
            Self::Page => include_bytes!("../../page/built/index.html.gz"),
            Self::Style => include_bytes!("../../page/built/page.css.gz"),
            Self::Script => include_bytes!("../../page/built/page.js.gz"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::unpack;

    #[test]
    fn the_files_are_whole_small_and_ask_nobody_else() {
        let files = [File::Page, File::Style, File::Script];
        assert!(files.map(|file| file.packed().len()).iter().sum::<usize>() <= 45_000);
        for (file, part) in
            files.into_iter().zip(["<script src=\"page.js\">", "color-scheme:light dark", "MIT licence"])
        {
            let mut text = Vec::new();
            unpack(file.packed(), &mut text);
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains(part), "{file:?}");
            let addresses: Vec<&str> = text.split("://").skip(1).map(|rest| &rest[..rest.len().min(20)]).collect();
            assert!(addresses.iter().all(|rest| rest.starts_with("www.w3.org/2000/svg")), "{file:?}: {addresses:?}");
        }
    }
}
