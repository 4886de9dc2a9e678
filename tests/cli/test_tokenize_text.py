from logq.text import PlainText


def test_a_text_becomes_a_text_of_words(logq, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text("Call me Ishmael.\nSome years ago -- never mind how long!\n")
    assert logq("tokenize", "book.txt", "-o", "words.txt") == (0, "10 words saved to words.txt.\n", "")
    assert (tmp_path / "words.txt").read_text() == "call me ishmael\nsome years ago never mind how long\n"
    assert logq("tokenize", "book.txt", "-o", "words.txt", "--keep-case", "-q") == (0, "", "")
    assert (tmp_path / "words.txt").read_text().split() == [
        word for sentence in PlainText("book.txt", keep_case=True) for word in sentence
    ]


def test_what_cannot_be_read_or_written_is_said_before(logq, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text("Call me Ishmael.\n")
    assert "got - (standard input)" in logq("tokenize", "-", "-o", "words.txt")[2]
    assert "book.txt" in logq("tokenize", "book.txt", "-o", "book.txt")[2]
    assert "ends in .gz" in logq("tokenize", "book.txt", "-o", "words.zst")[2]
    assert "no-such.txt" in logq("tokenize", "no-such.txt", "-o", "words.txt")[2]
    assert (tmp_path / "book.txt").read_text() == "Call me Ishmael.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.txt"]
