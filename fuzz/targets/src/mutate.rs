//! An input made another one: for libFuzzer, and for the tests, which have no libFuzzer.

use serde_json::Value;

use crate::choices::{Choices, written};
use crate::json;

/// Words that lead somewhere.
const WORDS: &[&[u8]] = &[
    b"queued",
    b"waiting",
    b"in_progress",
    b"completed",
    b"\nSWEEP",
    b"\n%%\n",
    b"WAIT 600",
    b"right",
    b"x-github-event: workflow_job\n",
    b"fuzz-size: 4000\n",
    b"\"@deep\"",
    b"\"@many\"",
    b"\"@long\"",
    b"test-gpu-0000-",
    b"test-gpu-0003-aaaaaaaaaaaa",
    b"test-gone-0001-aaaaaaaaaaaa",
    b"9223372036854775807",
    b"18446744073709551615",
    b"-1",
    b"null",
    b"[]",
    b"{}",
    b"[[pools]]\n",
    b"[[pools.placements]]\n",
    b"{ env = \"X\" }",
    b"self-hosted",
    b"<img src=x>",
    b"\"><img src=x onerror=x>",
    b"[page]\n",
    b"[notifications]\n",
    b"[timing]\n",
    b"authorization: right\n",
    b"slot#0001",
    b"slot#10000",
    b"wait#",
    b"\0",
    b"\n",
];

/// Makes an input another one, of at most `most` bytes, by this seed.
pub fn mutated(target: &str, input: &[u8], most: usize, seed: u64) -> Vec<u8> {
    let mut chance = Chance(seed);
    let mut bytes = input.to_vec();
    if target == "event" && chance.below(2) == 0 && node(&mut bytes, &mut chance) {
        bytes.truncate(most);
        return bytes;
    }
    for _ in 0..=chance.below(4) {
        edit(&mut bytes, &mut chance);
    }
    bytes.truncate(most);
    bytes
}

/// The same for libFuzzer: in its buffer, and half of the time in its own way.
pub fn in_place(
    target: &str,
    data: &mut [u8],
    size: usize,
    most: usize,
    seed: u32,
    own: impl FnOnce(&mut [u8], usize, usize) -> usize,
) -> usize {
    if seed & 1 == 0 {
        return own(data, size, most);
    }
    let made = mutated(target, &data[..size.min(data.len())], most.min(data.len()), u64::from(seed));
    data[..made.len()].copy_from_slice(&made);
    made.len()
}

/// Changes a node of a request's body; `false` where there is no JSON.
fn node(bytes: &mut Vec<u8>, chance: &mut Chance) -> bool {
    let starts: Vec<usize> =
        (0..bytes.len().saturating_sub(2)).filter(|at| bytes[*at..].starts_with(b"\n\n{")).collect();
    if starts.is_empty() {
        return false;
    }
    let start = starts[chance.below(starts.len())] + 2;
    let end = bytes[start..].windows(4).position(|window| window == b"\n%%\n");
    let end = end.map_or(bytes.len(), |end| start + end);
    let Ok(mut body) = serde_json::from_slice::<Value>(&bytes[start..end]) else { return false };
    let choices: Vec<u8> = (0..24).map(|_| chance.byte()).collect();
    json::change(&mut body, &mut Choices::new(&choices));
    let rest = bytes.split_off(end);
    bytes.truncate(start);
    bytes.extend(body.to_string().into_bytes());
    bytes.extend(rest);
    true
}

fn edit(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let at = chance.below(bytes.len() + 1);
    match chance.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
        1 if at < bytes.len() => bytes[at] = chance.byte(),
        2 => {
            let end = (at + 1 + chance.below(16)).min(bytes.len());
            bytes.drain(at.min(end)..end);
        }
        3 => {
            let end = (at + 1 + chance.below(64)).min(bytes.len());
            let part = bytes[at.min(end)..end].to_vec();
            let to = chance.below(bytes.len() + 1);
            bytes.splice(to..to, part);
        }
        4 | 5 => {
            let word = WORDS[chance.below(WORDS.len())];
            let end = if chance.below(2) == 0 { at } else { (at + word.len()).min(bytes.len()) };
            bytes.splice(at..end, word.iter().copied());
        }
        6 => {
            // A line of its own, of choices.
            let choices: Vec<u8> = (0..=chance.below(8)).map(|_| chance.byte()).collect();
            let line = (written(&choices) + "\n").into_bytes();
            let to = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            bytes.splice(to..to, line);
        }
        // One choice another one.
        7 if at < bytes.len() => {
            let end = (at + 2).min(bytes.len());
            bytes.splice(at..end, written(&[chance.byte()]).into_bytes());
        }
        _ => bytes.insert(at, chance.byte()),
    }
}

/// splitmix64
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn byte(&mut self) -> u8 {
        self.bits().to_le_bytes()[0]
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.bits() % u64::try_from(count.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}
