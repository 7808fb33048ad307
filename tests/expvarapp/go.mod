module expvarapp

go 1.19
