use super::*;

#[test]
fn libraries_are_read_from_every_form_of_line() {
    let output = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
    assert_eq!(
        named_libraries(output).unwrap(),
        [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2"
        ]
    );
    assert_eq!(
        named_libraries("\tlibmissing.so.1 => not found\n").unwrap_err(),
        "libmissing.so.1"
    );
    assert!(
        named_libraries("\tnot a dynamic executable\n")
            .unwrap()
            .is_empty()
    );
}

/// What the last stage of a Dockerfile says by this word, once.
fn said<'a>(dockerfile: &'a str, word: &str) -> &'a str {
    let stage = dockerfile.rsplit("\nFROM ").next().unwrap();
    let found: Vec<_> = stage
        .lines()
        .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
        .collect();
    let [said] = found[..] else {
        panic!("{word} is said {} times in\n{stage}", found.len())
    };
    said.trim()
}

/// Tests run the images of the testbed; what is published is built by the Dockerfiles.
#[test]
fn an_image_of_a_program_is_as_the_dockerfile_builds_it() {
    for (file, program) in [
        ("operator.Dockerfile", "s3bundler-operator"),
        ("worker.Dockerfile", "s3bundler"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../deploy/docker")
            .join(file);
        let dockerfile = fs::read_to_string(&path).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let built = folder.path().join(program);
        fs::write(&built, "").unwrap();
        let image = Image::of_program("localhost/a:1", &built).unwrap();

        let copied: Vec<_> = said(&dockerfile, "COPY").split(' ').collect();
        let [from, source, inside] = copied[..] else {
            panic!("{file}: {copied:?}")
        };
        assert_eq!(
            (from, source),
            ("--from=build", format!("/{program}").as_str()),
            "{file}"
        );
        assert!(
            dockerfile.contains(&format!("cp /target/release/{program} {source}\n")),
            "{file}"
        );
        let Some(Content::File(in_image)) = image.files.get(&relative(inside)) else {
            panic!("{file}: {image:?}")
        };
        assert_eq!(*in_image, built, "{file}");
        let entrypoint: Vec<String> =
            serde_json::from_str(said(&dockerfile, "ENTRYPOINT")).unwrap();
        assert_eq!(
            (&entrypoint, inside),
            (&image.entrypoint, entrypoint[0].as_str()),
            "{file}"
        );
        assert_eq!(
            said(&dockerfile, "USER"),
            USER.split(':').next().unwrap(),
            "{file}"
        );
    }
}

#[test]
fn the_same_files_give_the_same_image_and_the_config_names_the_layer() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let path = folder.path().join(name);
        let image = Image::new("localhost/a:1")
            .text("/etc/greeting", "hello")
            .entrypoint(["/bin/a"]);
        image.write(&path).unwrap();
        fs::read(path).unwrap()
    };
    let bytes = write("one.tar");
    assert_eq!(bytes, write("two.tar"));

    let mut entries = BTreeMap::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        io::Read::read_to_end(&mut entry, &mut content).unwrap();
        entries.insert(entry.path().unwrap().display().to_string(), content);
    }
    let manifest: serde_json::Value = serde_json::from_slice(&entries["manifest.json"]).unwrap();
    let layer = &entries[manifest[0]["Layers"][0].as_str().unwrap()];
    let config: serde_json::Value =
        serde_json::from_slice(&entries[manifest[0]["Config"].as_str().unwrap()]).unwrap();
    let digest = format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(layer)));
    assert_eq!(config["rootfs"]["diff_ids"][0], digest.as_str());
    assert_eq!(config["config"]["User"], USER);
    assert_eq!(manifest[0]["RepoTags"][0], "localhost/a:1");
}
