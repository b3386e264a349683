use std::io::{Seek as _, SeekFrom, Write as _};

use super::*;

fn file(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    Arc::new(file)
}

#[tokio::test]
async fn a_body_is_the_whole_file_each_time_whatever_its_cursor() {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
        let bytes: Vec<u8> = (0..length)
            .map(|at| u8::try_from(at % 251).expect("small"))
            .collect();
        let file = file(&bytes);
        let first = stream(Arc::clone(&file)).expect("a body");
        assert_eq!(first.size_hint(), (length as u64, Some(length as u64)));
        let again = first
            .into_inner()
            .try_clone()
            .expect("it can be sent again");
        (&*file)
            .seek(SeekFrom::Start(length as u64 / 2))
            .expect("moved");
        let sent = ByteStream::new(again)
            .collect()
            .await
            .expect("read")
            .into_bytes();
        assert!(sent == bytes, "{length}");
        let mut read = Vec::new();
        FromStart::of(file).read_to_end(&mut read).expect("read");
        assert!(read == bytes, "{length}");
    }
}

#[tokio::test]
async fn a_file_that_has_become_shorter_is_an_error() {
    let file = file(&[7; 100]);
    let body = stream(Arc::clone(&file)).expect("a body");
    file.set_len(99).expect("truncated");
    assert!(body.collect().await.is_err());
}
