use proptest::prelude::*;

use super::*;

fn walk(bytes: &[u8], piece: usize) -> Result<Vec<Member>, TarError> {
    let (mut walk, mut members) = (Walk::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        walk.feed(piece, |member| members.push(member))?;
    }
    walk.finish().map(|()| members)
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in members {
        let mut header = Header::new_ustar();
        header.set_size(data.len() as u64);
        builder
            .append_data(&mut header, name, *data)
            .expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn with_pax(records: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_size(records.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(records);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

#[test]
fn members_are_where_an_extracting_tool_finds_them() {
    let long = "x/".repeat(150);
    let bytes = tar(&[
        ("a", b"12345"),
        ("empty", b""),
        (&format!("{long}b"), &[7; 1024]),
    ]);
    for piece in [1, 7, 511, 512, 513, 100_000] {
        let members = walk(&bytes, piece).expect("a tar");
        let places: Vec<_> = members.iter().map(|it| (it.start, it.size)).collect();
        // The long name takes a header and a block before the last.
        assert_eq!(places, [(512, 5), (1536, 0), (3072, 1024)]);
    }
}

#[test]
fn a_pax_size_wins_and_a_newline_in_a_path_does_not_fake_one() {
    let mut bytes = with_pax(b"29 path=a\n12 size=1000000000\n9 size=6\n");
    let mut header = Header::new_ustar();
    header.set_size(0);
    header.set_cksum();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[1; 512]);
    bytes.extend_from_slice(&[0; 1024]);
    assert_eq!(
        walk(&bytes, 512),
        Ok(vec![Member {
            start: 1536,
            size: 6
        }])
    );
}

#[test]
fn damage_is_told_with_its_place() {
    let good = tar(&[("a", b"12345"), ("b", b"1")]);
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let mut lone = good[..1024].to_vec();
    lone.extend_from_slice(&[0; 512]);
    lone.extend_from_slice(&good[1024..]);
    for (bytes, at, problem) in [
        (changed(1024, b'z'), 1536, "a header's checksum is wrong"),
        (
            good[..good.len() - 512].to_vec(),
            2560,
            "it does not end in two zero blocks",
        ),
        (
            good[..good.len() - 1024].to_vec(),
            2048,
            "it does not end in two zero blocks",
        ),
        (
            good[..1500].to_vec(),
            1500,
            "it does not end in two zero blocks",
        ),
        (
            good[..1700].to_vec(),
            1700,
            "it ends in the middle of a member",
        ),
        (lone, 2048, "a lone zero block stands between members"),
        (
            [good.clone(), good.clone()].concat(),
            3584,
            "something follows the end",
        ),
        (with_pax(b"99 size=6\n"), 522, "a pax header cannot be read"),
        (with_pax(b"0 size=6\n"), 521, "a pax header cannot be read"),
        (with_pax(b"no record"), 521, "a pax header cannot be read"),
    ] {
        assert_eq!(
            walk(&bytes, 100),
            Err(TarError {
                at,
                problem: problem.to_owned()
            })
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_walk_or_fail_without_panic(
        damage in proptest::collection::vec((0..3072_usize, any::<u8>()), 0..12),
        fixed in any::<bool>(),
    ) {
        let mut bytes = with_pax(b"9 size=6\n");
        bytes.extend(tar(&[("a", b"12345")]));
        for (at, byte) in damage {
            if at < bytes.len() { bytes[at] = byte; }
        }
        if fixed {
            let sum = format!("{:06o}\0 ", checksum(&bytes[..BLOCK]));
            bytes[148..156].copy_from_slice(sum.as_bytes());
        }
        let _ = walk(&bytes, 100);
    }
}
