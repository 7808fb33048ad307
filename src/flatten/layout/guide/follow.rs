//! The guide that follows a known layout.

use super::{Guide, Known, Member};
use crate::bytes::piece;
use crate::error::Stop;
use crate::layout::rates::{Number, Rates};
use crate::layout::{Kind, Layout, Node};
use std::ops::Range;

/// Bytes of a path that are copied at a fixed length: paths are longer than keys.
const PATH_PIECE: usize = 64;

/// Follows a layout.
pub(crate) struct Follow<'l> {
    layout: &'l Layout,
    node: usize,
    /// Ends of the last key and of the last name.
    key: usize,
    name: usize,
    /// `,"`, then the keys around the member that is looked at, each with a dot behind it: `path_bytes` of them. Behind them
    /// as much as [`piece::append`] wants to find there.
    path: &'l mut Vec<u8>,
    path_bytes: usize,
    /// The leaf that was passed last has had no value when the layout was learned, nor before.
    lacks_value: bool,
    rates: Rates<'l>,
    /// The name of the rate that was passed last.
    rate_name: Range<usize>,
}

impl<'l> Follow<'l> {
    pub(crate) fn new(layout: &'l Layout, rates: Rates<'l>, path: &'l mut Vec<u8>) -> Self {
        path.clear();
        let mut follow =
            Self { layout, node: 0, key: 0, name: 0, path, path_bytes: 0, lacks_value: false, rates, rate_name: 0..0 };
        follow.extend_path(b",\"", b"");
        follow
    }

    fn extend_path(&mut self, key: &[u8], dot: &[u8]) {
        self.path.truncate(self.path_bytes);
        self.path.extend_from_slice(key);
        self.path.extend_from_slice(dot);
        self.path_bytes = self.path.len();
        self.path.extend_from_slice(&[0; PATH_PIECE]);
    }

    /// The node at the cursor, which must be a member with this key.
    #[inline]
    fn compare(&mut self, key: &[u8]) -> Result<&'l Node, Stop> {
        let Some(node) = self.layout.nodes.get(self.node) else { return Err(Stop::OtherLayout) };
        let end = self.key + node.key_bytes as usize;
        if node.kind == Kind::End || &self.layout.keys[self.key..end] != key {
            return Err(Stop::OtherLayout);
        }
        self.key = end;
        Ok(node)
    }

    /// Steps over the node at the cursor, which must be of this kind.
    fn take(&mut self, kind: Kind) -> Result<&'l Node, Stop> {
        match self.layout.nodes.get(self.node) {
            Some(node) if node.kind == kind => {
                self.node += 1;
                Ok(node)
            }
            _ => Err(Stop::OtherLayout),
        }
    }

    /// Steps into the object or the columns at the cursor.
    fn enter(&mut self, kind: Kind) -> Result<(), Stop> {
        let node = self.take(kind)?;
        self.extend_path(&self.layout.keys[self.key - node.key_bytes as usize..self.key], b".");
        Ok(())
    }

    /// Writes the name of the leaf at the cursor, whose key has been compared, and steps over it.
    #[inline]
    fn write_name(&mut self, node: &Node, out: &mut Vec<u8>) -> bool {
        self.node += 1;
        self.lacks_value = node.lacks_value;
        if node.keys_as_name {
            let key = &self.layout.keys[self.key - node.key_bytes as usize..self.key];
            out.extend_from_slice(&self.path[..self.path_bytes]);
            out.extend_from_slice(key);
            out.extend_from_slice(b"\":");
            return true;
        }
        let end = self.name + node.name_bytes as usize;
        out.extend_from_slice(&self.layout.names[self.name..end]);
        self.name = end;
        node.name_bytes > 0
    }

    /// Steps over the rate behind the leaf that was passed last.
    fn pass_rate(&mut self) {
        let bytes = self.layout.nodes.get(self.node).map_or(0, |node| node.name_bytes);
        self.rate_name = self.name..self.name + bytes as usize;
        self.name = self.rate_name.end;
        self.node += 1;
        self.rates.passed += 1;
    }
}

impl Guide for Follow<'_> {
    const LEARNS: bool = false;

    type Known = Self;

    #[inline]
    fn known(&mut self) -> Option<&mut Self> {
        Some(self)
    }

    #[inline]
    fn member(&mut self, key: &[u8]) -> Result<Member, Stop> {
        let node = self.compare(key)?;
        if node.kind == Kind::Out {
            self.node += 1;
            return Ok(Member::Out);
        }
        Ok(Member::In(node.traits))
    }

    #[inline]
    fn leaf(&mut self, out: &mut Vec<u8>) -> Result<bool, Stop> {
        match self.layout.nodes.get(self.node) {
            Some(node) if node.kind == Kind::Leaf => {
                let named = self.write_name(node, out);
                if node.traits.rated {
                    self.pass_rate();
                }
                Ok(named)
            }
            _ => Err(Stop::OtherLayout),
        }
    }

    #[inline]
    fn value(&mut self) -> Result<(), Stop> {
        // What names are to become of it, and of what is called like it, is to be found anew.
        if self.lacks_value { Err(Stop::OtherLayout) } else { Ok(()) }
    }

    fn object(&mut self) -> Result<(), Stop> {
        self.enter(Kind::Object)
    }

    fn end(&mut self) -> Result<(), Stop> {
        self.path_bytes -= self.take(Kind::End)?.name_bytes as usize;
        Ok(())
    }

    fn columns(&mut self) -> Result<bool, Stop> {
        if self.layout.nodes.get(self.node).is_some_and(|node| node.kind == Kind::Dropped) {
            self.node += 1;
            return Ok(false);
        }
        self.enter(Kind::Columns).map(|()| true)
    }

    fn column(&mut self, name: &[u8], out: &mut Vec<u8>) -> Result<bool, Stop> {
        let node = self.compare(name)?;
        Ok(self.write_name(node, out))
    }
}

impl Known for Follow<'_> {
    #[inline]
    fn plain_leaf(&self, body: &[u8], start: usize, end: usize) -> Option<usize> {
        let node = self.layout.nodes.get(self.node)?;
        let is_it = node.plain
            && node.key_bytes as usize == end - start
            && piece::is_equal(&self.layout.keys, self.key, body, start, end - start);
        is_it.then_some(self.path_bytes)
    }

    #[inline]
    fn step_plain_leaf(&mut self, key_bytes: usize, out: &mut Vec<u8>) {
        piece::append::<PATH_PIECE>(out, self.path, 0, self.path_bytes);
        self.node += 1;
        self.key += key_bytes;
    }

    fn rate(&mut self, number: Number, out: &mut Vec<u8>) -> bool {
        self.rates.add(number, &self.layout.names[self.rate_name.clone()], out)
    }

    fn place(&self) -> usize {
        self.node
    }
}
