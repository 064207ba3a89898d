"""`make demo`: what it prints is what the device does, and its exit status says whether it did."""

from tools import demo


def test_the_sale_is_told_step_by_step_with_its_screens_and_its_slip(capsys):
    assert demo.main([]) == 0
    said = capsys.readouterr().out
    places = [said.index(text) for text in ("  power on\n", "  tap debit\n", "12.34", "TESTING", "steps as written")]
    assert places[0] < places[1] < places[3] < places[4] and "█" in said
    slip = said[said.index("+---") :].splitlines()[:-1]
    copies = sum("TESTING" in line for line in slip)
    assert copies and copies % 2 == 0, "two of each sale"
    assert all(line[0] == line[-1] and line[0] in "+|" for line in slip)


def test_a_step_that_does_not_come_out_ends_it_and_says_where(tmp_path, capsys):
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("patience 0 s\nexpect power on\n", encoding="utf-8")
    assert demo.main([str(wrong)]) == 1
    assert "wrong.txt:2" in capsys.readouterr().err
    wrong.write_text("dance\n", encoding="utf-8")
    assert demo.main([str(wrong)]) == 2
