_base_ = ["../_base_/student_gfl_r18w16.py"]
