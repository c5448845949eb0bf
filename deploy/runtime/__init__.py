"""What loads and runs an artefact, with numpy, OpenCV and one backend."""
