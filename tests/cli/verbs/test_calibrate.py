"""`edgevae calibrate` writes a bundle that gives p-values."""

import json

from edgevae import cli


def test_calibrate_reports_the_items_of_each_method(judge, capsys):
    capsys.readouterr()
    command = ["calibrate", judge, "--data", "normals.npy", "--out", "again", "--method", "recon"]
    assert cli.main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["normals"] == {"recon": 400}
    assert report["fitted_on"] == 0  # it had statistics
    assert cli.main(["calibrate", "model", "--data", "normals.npy", "--out", "c", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["fitted_on"] == 200
    assert set(report["normals"].values()) == {200}
    assert cli.main([*command, "--alpha", "0.001"]) == 4
    assert "takes at least 999 held-out normal items" in capsys.readouterr().err
