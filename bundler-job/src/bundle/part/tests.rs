use super::super::parts::PartLimits;
use super::super::scratch::Scratch;
use super::*;

/// 100, 100, 200, 400, 400, 400.
fn plan() -> PartPlan {
    PartPlan::new(
        100,
        1,
        PartLimits {
            most: 6,
            step: 1,
            largest: 400,
        },
    )
}

fn writer(aside: Option<Aside>) -> (PartWriter, mpsc::Receiver<Part>, tempfile::TempDir) {
    let (parts, received) = mpsc::channel(1);
    let directory = tempfile::tempdir().expect("a directory");
    (
        PartWriter::new(
            plan(),
            1,
            directory.path().to_owned(),
            (aside, KeptSmall::ByRoom),
            parts,
        ),
        received,
        directory,
    )
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at % 251).expect("small"))
        .collect()
}

/// Of every part its size and whether it is on scratch; the bytes of all.
fn collect(mut received: mpsc::Receiver<Part>) -> (Vec<(u64, bool)>, Vec<u8>) {
    let (mut sizes, mut all) = (Vec::new(), Vec::new());
    while let Some(part) = received.blocking_recv() {
        assert_eq!(part.number as usize, sizes.len() + 1);
        let (of_part, scratch) = match &part.body {
            PutBody::Bytes(bytes) => (bytes.to_vec(), false),
            PutBody::File(file) => {
                let mut bytes = vec![0; usize::try_from(part.size).expect("small")];
                std::os::unix::fs::FileExt::read_exact_at(&**file, &mut bytes, 0)
                    .expect("all of it");
                (bytes, true)
            }
        };
        assert_eq!(
            part.crc64nvme,
            crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &of_part)
        );
        assert_eq!(part.size, of_part.len() as u64);
        sizes.push((part.size, scratch));
        all.extend(of_part);
    }
    (sizes, all)
}

#[test]
fn parts_that_are_larger_than_planned_go_through_scratch_and_nothing_is_lost() {
    for chunk in [1, 7, 100, 333, 2_000] {
        let (mut writer, received, directory) = writer(None);
        let collecting = std::thread::spawn(move || collect(received));
        let written = bytes(1_150);
        for bytes in written.chunks(chunk) {
            writer.write(bytes).expect("room");
        }
        assert_eq!(writer.position(), 1_150);
        let (size, crc64nvme) = writer.finish().expect("sent");
        let (sizes, all) = collecting.join().expect("parts");
        assert_eq!(
            sizes,
            [
                (100, false),
                (100, false),
                (200, true),
                (400, true),
                (350, true)
            ],
            "{chunk}"
        );
        assert!(all == written && size == 1_150, "{chunk}");
        assert_eq!(
            crc64nvme,
            crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &written),
            "parts' CRCs combined"
        );
        assert_eq!(
            std::fs::read_dir(directory.path()).expect("there").count(),
            0,
            "no names"
        );
    }
}

#[test]
fn an_archive_of_more_parts_fails_with_the_options_to_change() {
    let (mut writer, received, _directory) = writer(None);
    let collecting = std::thread::spawn(move || collect(received));
    writer.write(&bytes(1_600)).expect("exactly six parts");
    let error = writer.write(&[0]).expect_err("one too many");
    assert!(
        matches!(
            error,
            PartError::TooMany(TooManyParts {
                most: 6,
                packed: ByteSize(1_600),
                ..
            })
        ),
        "{error:?}"
    );
    for option in ["--max-objects", "--max-size", "--scratch-size"] {
        assert!(error.to_string().contains(option), "{error}");
    }
    drop(writer);
    assert_eq!(collecting.join().expect("parts").0.len(), 6);
}

#[test]
fn parts_keep_their_size_in_memory_until_members_have_left_room_on_scratch() {
    // A quarter of it is three parts of 400.
    let scratch = Scratch::new(4_800);
    let (mut first, mut second) = (scratch.place(), scratch.place());
    first.try_take(4_000).expect("free");
    first.settle();
    second.try_take(400).expect("free");
    let (mut writer, received, _directory) = writer(Some(scratch.aside()));
    let collecting = std::thread::spawn(move || collect(received));
    // 4,400 are taken: 600 for parts of 200 are not free.
    writer.write(&bytes(300)).expect("written");
    drop(first);
    writer.write(&bytes(400 + 110)).expect("written");
    writer.finish().expect("sent");
    let sizes = collecting.join().expect("parts").0;
    assert_eq!(
        sizes,
        [
            (100, false),
            (100, false),
            (100, false),
            (400, true),
            (110, true)
        ]
    );
    drop(second);
}

#[test]
fn there_are_three_parts_at_a_time_and_those_of_an_upload_that_ended_block_no_other() {
    let (parts, mut received) = mpsc::channel(10);
    let mut writer = PartWriter::new(
        plan(),
        1,
        std::env::temp_dir(),
        (None, KeptSmall::No),
        parts,
    );
    writer.write(&bytes(100 + 100 + 200)).expect("written");
    assert!(writer.slots.free.try_recv().is_err(), "a fourth waits");
    drop(received.try_recv().expect("a part"));
    writer.write(&bytes(400)).expect("written");
    assert!(writer.slots.free.try_recv().is_err());
    drop(received);
    assert!(matches!(
        writer.write(&bytes(400)),
        Err(PartError::UploadGone)
    ));
}
