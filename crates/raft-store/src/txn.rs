//! Transactions: compares, then one of two lists of operations, all at one revision.
//!
//! As in etcd: a key that is not there has the revisions and the version 0, and compares with no
//! value. The operations run in order and see what those before them did. What is put takes the
//! next revision as `mod_revision`; a transaction that changes nothing makes no revision.

use bytes::{BufMut, Bytes};

use crate::codec::{Reader, put_list, put_piece};
use crate::map::RECORD_BYTES;
use crate::refusal::Refusal;

/// Compares of a transaction, and operations of each branch.
pub const OPS_MAX: usize = 128;
/// Bytes of a key.
pub const KEY_BYTES_MAX: usize = 4096;
/// Keys that one transaction may change: applying has to be short.
pub const CHANGES_MAX: usize = 10_000;
/// Bytes of all that one transaction puts or deletes, with [`crate::RECORD_BYTES`] for each key:
/// its events have to fit into one answer.
pub const CHANGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Some keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// This one.
    One(Bytes),
    /// Those from the first to before the second, in the order of their bytes.
    Between(Bytes, Bytes),
    /// This one and all above it.
    From(Bytes),
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Which keys.
    pub keys: Keys,
    /// The state at this revision; 0 for the newest one.
    pub revision: u64,
    /// At most so many keys; 0 for as many as an answer may hold.
    pub limit: u64,
    /// Whether values are left out, or everything but the count.
    pub only: Only,
}

/// How much of a range is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Only {
    /// Keys and values.
    #[default]
    All,
    /// Keys without values.
    Keys,
    /// How many there are.
    Count,
}

/// A transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// If all of these hold,
    pub compares: Vec<Compare>,
    /// these are done,
    pub success: Vec<Op>,
    /// else these.
    pub failure: Vec<Op>,
}

/// A condition on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key.
    pub key: Bytes,
    /// What holds for it.
    pub test: Test,
}

/// What a compare looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Whether it is there.
    Exists(bool),
    /// Its value, in the order of the bytes.
    Value(Is, Bytes),
    /// How often it was put since it was created.
    Version(Is, u64),
    /// The revision that created it.
    Created(Is, u64),
    /// The revision that changed it last.
    Modified(Is, u64),
}

/// How something compares with what is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    /// The same.
    Equal,
    /// Not the same.
    NotEqual,
    /// Less than what is given.
    Less,
    /// Greater than what is given.
    Greater,
}

/// A step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sets a value.
    Put(Bytes, Bytes),
    /// Deletes keys.
    Delete(Keys),
    /// Reads the state as the steps before left it.
    Get(Range),
}

impl Keys {
    /// All keys that begin like this; all there are, if it is empty.
    #[must_use]
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let prefix = prefix.into();
        let Some(last) = prefix.iter().rposition(|byte| *byte != u8::MAX) else {
            return Self::From(prefix);
        };
        let mut end = prefix.slice(..=last).to_vec();
        if let Some(byte) = end.last_mut() {
            *byte += 1;
        }
        Self::Between(prefix, end.into())
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.first() <= key && !self.is_before(key)
    }

    /// None of them is less than this one.
    pub(crate) fn first(&self) -> &[u8] {
        let (Self::One(key) | Self::Between(key, _) | Self::From(key)) = self;
        key
    }

    /// Whether all of them are less than this key.
    pub(crate) fn is_before(&self, key: &[u8]) -> bool {
        match self {
            Self::One(one) => &**one < key,
            Self::Between(_, end) => &**end <= key,
            Self::From(_) => false,
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::One(key) => check_key(key),
            Self::From(key) => check_length(key),
            Self::Between(key, end) => check_length(key).and(check_length(end)),
        }
    }

    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        let kind = match self {
            Self::One(_) => 0,
            Self::Between(..) => 1,
            Self::From(_) => 2,
        };
        to.put_u8(kind);
        put_piece(to, self.first());
        if let Self::Between(_, end) = self {
            put_piece(to, end);
        }
    }

    pub(crate) fn decode(from: &mut Reader) -> Result<Self, Refusal> {
        let keys = match from.u8()? {
            0 => Self::One(from.piece()?),
            1 => Self::Between(from.piece()?, from.piece()?),
            2 => Self::From(from.piece()?),
            _ => return Err(Refusal::Malformed),
        };
        keys.check().map(|()| keys)
    }
}

fn check_key(key: &[u8]) -> Result<(), Refusal> {
    if key.is_empty() { Err(Refusal::EmptyKey) } else { check_length(key) }
}

fn check_length(key: &[u8]) -> Result<(), Refusal> {
    if key.len() > KEY_BYTES_MAX { Err(Refusal::KeyTooLong) } else { Ok(()) }
}

impl Range {
    /// These keys with their values, now.
    #[must_use]
    pub const fn of(keys: Keys) -> Self {
        Self { keys, revision: 0, limit: 0, only: Only::All }
    }

    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        self.keys.encode(to);
        to.put_u64_le(self.revision);
        to.put_u64_le(self.limit);
        to.put_u8(self.only as u8);
    }

    pub(crate) fn decode(from: &mut Reader) -> Result<Self, Refusal> {
        let (keys, revision, limit) = (Keys::decode(from)?, from.u64()?, from.u64()?);
        let only = match from.u8()? {
            0 => Only::All,
            1 => Only::Keys,
            2 => Only::Count,
            _ => return Err(Refusal::Malformed),
        };
        Ok(Self { keys, revision, limit, only })
    }
}

impl Txn {
    /// Sets a value.
    #[must_use]
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { success: vec![Op::Put(key.into(), value.into())], ..Self::default() }
    }

    /// Deletes keys.
    #[must_use]
    pub fn delete(keys: Keys) -> Self {
        Self { success: vec![Op::Delete(keys)], ..Self::default() }
    }

    /// Sets a value if the one that is there is this one; otherwise reads what is there. `None`
    /// for a key that must not be there.
    #[must_use]
    pub fn cas(key: impl Into<Bytes>, old: Option<Bytes>, new: impl Into<Bytes>) -> Self {
        let key = key.into();
        let test = old.map_or(Test::Exists(false), |old| Test::Value(Is::Equal, old));
        Self {
            compares: vec![Compare { key: key.clone(), test }],
            success: vec![Op::Put(key.clone(), new.into())],
            failure: vec![Op::Get(Range::of(Keys::One(key)))],
        }
    }

    /// What it may add to the map.
    pub(crate) fn put_bytes(&self) -> u64 {
        let bytes = |ops: &[Op]| -> usize {
            let put = |op: &Op| match op {
                Op::Put(key, value) => RECORD_BYTES + key.len() + value.len(),
                Op::Delete(_) | Op::Get(_) => 0,
            };
            ops.iter().map(put).sum()
        };
        bytes(&self.success).max(bytes(&self.failure)) as u64
    }

    /// Whether it keeps the rules for all transactions.
    ///
    /// # Errors
    /// Which one it breaks.
    pub fn check(&self) -> Result<(), Refusal> {
        let lists = [self.compares.len(), self.success.len(), self.failure.len()];
        if lists.iter().any(|length| *length > OPS_MAX) {
            return Err(Refusal::TooManyOps);
        }
        self.compares.iter().try_for_each(|compare| check_key(&compare.key))?;
        check_branch(&self.success)?;
        check_branch(&self.failure)
    }

    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        put_list(to, &self.compares, Compare::encode);
        put_list(to, &self.success, Op::encode);
        put_list(to, &self.failure, Op::encode);
    }

    pub(crate) fn decode(from: &mut Reader) -> Result<Self, Refusal> {
        let txn = Self {
            compares: from.list(OPS_MAX, Compare::decode)?,
            success: from.list(OPS_MAX, Op::decode)?,
            failure: from.list(OPS_MAX, Op::decode)?,
        };
        txn.check().map(|()| txn)
    }
}

fn check_branch(ops: &[Op]) -> Result<(), Refusal> {
    // Mostly it is one put, which needs no list.
    if let [Op::Put(key, _)] = ops {
        return check_key(key);
    }
    let mut puts: Vec<&Bytes> = Vec::new();
    for op in ops {
        match op {
            Op::Put(key, _) => {
                check_key(key)?;
                puts.push(key);
            }
            Op::Delete(keys) => keys.check()?,
            Op::Get(range) if range.revision != 0 => return Err(Refusal::OldRevision),
            Op::Get(range) => range.keys.check()?,
        }
    }
    puts.sort_unstable();
    let deletes =
        |key: &Bytes| ops.iter().any(|op| matches!(op, Op::Delete(keys) if keys.contains(key)));
    if puts.windows(2).any(|two| two[0] == two[1]) || puts.into_iter().any(deletes) {
        return Err(Refusal::DuplicateKey);
    }
    Ok(())
}

impl Compare {
    fn encode(&self, to: &mut Vec<u8>) {
        put_piece(to, &self.key);
        let mut number = |kind, is: Is, number: u64| {
            to.put_u8(kind);
            to.put_u8(is as u8);
            to.put_u64_le(number);
        };
        match &self.test {
            Test::Version(is, version) => number(2, *is, *version),
            Test::Created(is, revision) => number(3, *is, *revision),
            Test::Modified(is, revision) => number(4, *is, *revision),
            Test::Exists(exists) => to.put_slice(&[0, u8::from(*exists)]),
            Test::Value(is, value) => {
                to.put_slice(&[1, *is as u8]);
                put_piece(to, value);
            }
        }
    }

    fn decode(from: &mut Reader) -> Result<Self, Refusal> {
        let key = from.piece()?;
        let test = match from.u8()? {
            0 => Test::Exists(from.flag()?),
            1 => Test::Value(Is::decode(from)?, from.piece()?),
            2 => Test::Version(Is::decode(from)?, from.u64()?),
            3 => Test::Created(Is::decode(from)?, from.u64()?),
            4 => Test::Modified(Is::decode(from)?, from.u64()?),
            _ => return Err(Refusal::Malformed),
        };
        Ok(Self { key, test })
    }
}

impl Is {
    /// Whether `left` compares so with `right`.
    pub(crate) fn holds<T: Ord + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::Greater => left > right,
        }
    }

    fn decode(from: &mut Reader) -> Result<Self, Refusal> {
        match from.u8()? {
            0 => Ok(Self::Equal),
            1 => Ok(Self::NotEqual),
            2 => Ok(Self::Less),
            3 => Ok(Self::Greater),
            _ => Err(Refusal::Malformed),
        }
    }
}

impl Op {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Put(key, value) => {
                to.put_u8(0);
                put_piece(to, key);
                put_piece(to, value);
            }
            Self::Delete(keys) => {
                to.put_u8(1);
                keys.encode(to);
            }
            Self::Get(range) => {
                to.put_u8(2);
                range.encode(to);
            }
        }
    }

    fn decode(from: &mut Reader) -> Result<Self, Refusal> {
        match from.u8()? {
            0 => Ok(Self::Put(from.piece()?, from.piece()?)),
            1 => Ok(Self::Delete(Keys::decode(from)?)),
            2 => Ok(Self::Get(Range::decode(from)?)),
            _ => Err(Refusal::Malformed),
        }
    }
}
