//! The guide tells the walk what to do with each member of a payload. One guide follows a known layout, another one
//! learns a layout.

mod follow;
mod learn;

use super::Traits;
use super::rates::Number;
use crate::bytes::quantity::TextUnit;
use crate::error::Stop;

pub(crate) use follow::Follow;
pub(crate) use learn::{Learn, LearnWork};

/// What is to be done with a member.
pub(crate) enum Member {
    /// It is left out, whatever its value is.
    Skip,
    /// Its value is read.
    Walk(Traits),
}

/// What becomes of an array with objects.
pub(crate) enum Objects {
    /// It is not shipped.
    Dropped,
    /// One array for each member of the objects.
    Columns,
    /// One object, as the rules say at this place of their [`super::keyed::KeyedArray`]s.
    Keyed(usize),
}

/// What becomes of a column.
pub(crate) struct ColumnTraits {
    /// Whether it is shipped.
    pub(crate) named: bool,
    /// What its texts become.
    pub(crate) text: Option<TextUnit>,
}

/// Tells the walk what to do with each member. The walk calls it in the order of the payload.
pub(crate) trait Guide {
    /// Whether this guide learns a layout. Keys are then seen for the first time, so the walk checks their escapes; and
    /// names are not known yet, so its output is discarded.
    const LEARNS: bool;

    /// What a known layout tells about members before their values are looked at.
    type Known: Known;

    /// The known layout; none while a layout is learned.
    fn known(&mut self) -> Option<&mut Self::Known>;
    /// The next member has this key, as it stands in the payload.
    fn member(&mut self, key: &[u8]) -> Result<Member, Stop>;
    /// The member is a scalar or an array without objects. Writes its name; false if it is not shipped.
    fn leaf(&mut self, out: &mut Vec<u8>) -> Result<bool, Stop>;
    /// The last leaf, which is shipped, has a value.
    fn value(&mut self) -> Result<(), Stop>;
    /// The member is an object.
    fn object(&mut self) -> Result<(), Stop>;
    /// An object or a list of columns has ended.
    fn end(&mut self) -> Result<(), Stop>;
    /// The member is an array with objects.
    fn objects(&mut self) -> Result<Objects, Stop>;
    /// That array has a column with this name. Writes the final name.
    fn column(&mut self, name: &[u8], out: &mut Vec<u8>) -> Result<ColumnTraits, Stop>;
}

/// What only the guide that follows a layout can tell.
pub(crate) trait Known {
    /// Whether the next member has the key `body[start..end]` and is a scalar that is shipped unchanged, under a name
    /// that is simply its keys joined with dots. Gives the length of the part of the name before that key. Does not
    /// step over it.
    fn plain_leaf(&self, body: &[u8], start: usize, end: usize) -> Option<usize>;
    /// Writes that part of the name, with the comma and quote before it, and steps over the leaf that
    /// [`Known::plain_leaf`] has found.
    fn step_plain_leaf(&mut self, key_bytes: usize, out: &mut Vec<u8>);
    /// The value of the last leaf, a counter, is this number. Writes its rate; false if there is none.
    fn rate(&mut self, number: Number, out: &mut Vec<u8>) -> bool;
    /// The place of the next node in the layout. It identifies a member as long as the layout is the same.
    fn place(&self) -> usize;
}
